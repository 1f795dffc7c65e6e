package zookeeper

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/go-zookeeper/zk"
)

// readers bounds the reads of one queue that are under way.
const readers = 64

// born reads, for the claims of a list whose numbers do not tell the order, by which
// transactions they were made. Those that are gone meanwhile are left out. me is one of
// them that needs no read, or none.
//
// Is a read at a server that lags good enough? It comes after the list, and what a
// session is shown never goes back, on another connection neither: a server refuses a
// client that has seen more than itself. So a node of the list is there, with the number
// that it was made with and keeps, or was deleted after the list. That is for good, but
// for one thing: beyond the range a name may come again, since an owner that lost its
// place makes a node anew and is given the number that it had. Then what is read is the
// new node's, which was made after the list, and so after the claim that looks: it comes
// behind it, as it should. For the same reason nothing is remembered by name from one
// list to the next.
func born(c conn, parent string, queue []nodeName, me nodeName) ([]nodeName, error) {
	var mu sync.Mutex
	var all []nodeName
	var failed error
	take := func(n nodeName, err error) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			all = append(all, n)
		case !errors.Is(err, zk.ErrNoNode):
			failed = err
		}
	}
	work := make(chan nodeName, len(queue))
	for _, n := range queue {
		switch {
		case n.text == me.text:
			take(me, nil)
		case !n.beyond():
			take(n, nil)
		default:
			work <- n
		}
	}
	close(work)
	var reading sync.WaitGroup
	for range min(readers, len(work)) {
		reading.Go(func() {
			for n := range work {
				st, err := stat(c, parent+"/"+n.text)
				if err == nil {
					n.czxid = st.Czxid
				}
				take(n, err)
			}
		})
	}
	reading.Wait()
	return all, failed
}

// lookBeyond looks at a list for a claim whose number does not tell its place: it is
// behind all whose number does, and among the others has the place of its czxid. If it is
// the first it needs the guard, too, and a list in which that is.
func (b *backend) lookBeyond(c *claim, me nodeName, children []string) (line, error) {
	s := c.session
	b.mu.Lock()
	me.czxid = c.czxid
	b.mu.Unlock()
	for range looks {
		guarded, queue := slices.Contains(children, guardName), parseAll(children)
		if guarded && slices.ContainsFunc(queue, func(n nodeName) bool { return n.early }) {
			return line{}, errEarlier
		}
		queue, err := born(s.conn, c.parent, queue, me)
		if err != nil {
			return line{}, err
		}
		l, err := found(lineUp(queue, me))
		if err != nil || l.ahead.text != "" || guarded {
			return l, err
		}
		if err := b.makeGuard(s, c.parent); err != nil {
			return line{}, err
		}
		if children, err = list(s.conn, c.parent); err != nil {
			return line{}, err
		}
	}
	return line{}, errNoAnswer
}

// front is the first claim of a lock, and how many there are.
type front struct {
	head  nodeName // none if all have gone while we looked
	count int
}

func (b *backend) front(ctx context.Context, s *session, parent string) (front, error) {
	return ask(ctx, s, adminTimeout, func() (front, error) {
		children, err := list(s.conn, parent)
		if err != nil {
			return front{}, err
		}
		return frontOf(s.conn, parent, parseAll(children))
	})
}

func frontOf(c conn, parent string, queue []nodeName) (f front, err error) {
	f = front{first(queue), len(queue)}
	if f.head.beyond() { // and so are all
		queue, err = born(c, parent, queue, nodeName{})
		f.head = first(queue)
	}
	return f, err
}
