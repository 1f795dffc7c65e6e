package zookeeper

import (
	"errors"
	"slices"
	"strconv"
	"sync"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/backend/zookeeper/internal/session"
)

// maxReaders bounds the reads of one queue that are under way.
const maxReaders = 64

// readCzxids reads, for the claims of a list whose numbers do not tell the order, the
// transactions by which they were made. It leaves out claims that are gone meanwhile. me is the
// one that needs no read, if any.
//
// Why is a read at a server that lags good enough? It comes after the list, and what a session is
// shown never goes back, on another connection neither: a server refuses a client that has seen
// more than itself. So a node of the list is there, with the czxid that it was made with and
// keeps, or was deleted after the list. It is gone for good, with one exception: beyond the range
// a name may come again, since an attempt that lost its position makes a node again and is given the
// number that it had. Then the czxid that is read is the new node's, which was made after the
// list, and so after the claim that looks: it comes behind that, as it should. For the same
// reason nothing is remembered by name from one list to the next.
func readCzxids(c session.Conn, parent string, queue []nodeName, me nodeName) ([]nodeName, error) {
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
	for range min(maxReaders, len(work)) {
		reading.Go(func() {
			for n := range work {
				st, err := session.Stat(c, parent+"/"+n.text)
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

// positionBeyond finds, in a list, a claim whose number does not tell its position. It is behind
// all whose number does, and among the others has the position of its czxid. If it is the first it
// needs the guard, too, and a list that has the guard.
func (q queue) positionBeyond(me nodeName, children []string) (position, error) {
	for range maxLooks {
		guarded, claims := slices.Contains(children, guardName), parseAll(children)
		if guarded && slices.ContainsFunc(claims, func(n nodeName) bool { return n.early }) {
			return position{}, errEarlier
		}
		claims, err := readCzxids(q.session, q.path, claims, me)
		if err != nil {
			return position{}, err
		}
		p, err := orNoNode(positionOf(claims, me))
		if err != nil || p.predecessor.text != "" || guarded {
			return p, err
		}
		if err := q.makeGuard(); err != nil {
			return position{}, err
		}
		if children, err = session.List(q.session, q.path); err != nil {
			return position{}, err
		}
	}
	return position{}, session.ErrNoAnswer
}

// guardName is a node that keeps earlier builds out of a lock whose numbers are beyond the range,
// until its node is made again.
//
// Earlier builds compare numbers as if they wrapped, so there they may take themselves for the
// first beside a holder. To them the guard is a claim whose number is before all that are beyond:
// a claim that looks at the queue waits behind it, or behind one that does. Our build knows the
// guard, and that it is no claim.
//
// So one of our claims whose number is beyond holds the lock only if it has seen, in one list,
// that it is the first, that the guard is there, and that there is no claim of an earlier build:
// see positionBeyond. Then no claim of an earlier build holds the lock beside it:
//
//   - Not by a look, since the list of one that comes later has the guard in it, which is not
//     deleted while there are claims.
//   - Not by being told by its predecessor (see waitForPredecessor), since no predecessor is
//     left that would tell it. Not a claim in the range, for those came before and are gone. Not
//     an earlier build's, since none was there that could hold the lock, and none can come to
//     hold it. And not one of ours beyond, for those leave without a write.
//
// In the range the builds agree: see before. A holder there is the first to all that come later,
// to those of earlier builds too, also if these have numbers beyond.
//
// While an earlier build waits beyond the range nobody is granted the lock: the guard keeps it
// out, and it keeps ours out. The only alternative is two holders, in a lock that came that far
// without its node being empty once since halfway.
//
// An earlier build's Evict would take the guard for the holder. The guard has a child, so that it
// cannot be deleted so.
var guardName = "~guard#" + strconv.Itoa(lastOrdered)

func guardPaths(parent string) (guard, child string) {
	guard = parent + "/" + guardName
	return guard, guard + "/stays"
}

func (q queue) makeGuard() error {
	guard, child := guardPaths(q.path)
	_, err := q.session.Transact([]any{
		&zk.CreateRequest{Path: guard, Acl: q.acl},
		&zk.CreateRequest{Path: child, Acl: q.acl},
	})
	if errors.Is(err, zk.ErrNodeExists) {
		return nil
	}
	return err
}
