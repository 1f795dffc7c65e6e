package zookeeper

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/backend/zookeeper/internal/session"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// queue is the node of a lock with the claims in it, as a session sees them. Its methods wait for the server, and know
// no context; those that have one begin a task.
type queue struct {
	s    *session.Session
	path string
	acl  []zk.ACL
}

// claims returns the claims, in no order.
func (q queue) claims() ([]nodeName, error) {
	children, err := session.List(q.s, q.path)
	return parseAll(children), err
}

// front is the first claim of a lock, and the number of claims.
type front struct {
	head  nodeName // none if all have left while we looked
	count int
}

func (q queue) front() (f front, err error) {
	claims, err := q.claims()
	if err != nil {
		return f, err
	}
	return frontOf(q.s, q.path, claims)
}

func frontOf(c session.Conn, parent string, queue []nodeName) (f front, err error) {
	f = front{first(queue), len(queue)}
	if f.head.beyond() { // and so are all
		queue, err = readCzxids(c, parent, queue, nodeName{})
		f.head = first(queue)
	}
	return f, err
}

// busy reports whether the key is held or waited for, before anything is written. A server that
// lags may still show what is gone, so a yes is checked once more after a sync. A no needs no
// check: the list that is read after the create decides.
func (q queue) busy(ctx context.Context, timeout time.Duration) (bool, error) {
	for fresh := false; ; fresh = true {
		claims, err := session.Ask(ctx, q.s, timeout, q.claims)
		if n := len(claims); err != nil || n == 0 || fresh {
			return n > 0, err
		}
		if err := q.s.CatchUp(ctx, timeout); err != nil {
			return false, err
		}
	}
}

// of returns an attempt's claims and the first of all, as new as the call.
func (q queue) of(ctx context.Context, attemptID string) (owned []nodeName, head nodeName, err error) {
	if err := q.s.CatchUp(ctx, releaseTimeout); err != nil {
		return nil, head, err
	}
	owned, err = session.Ask(ctx, q.s, releaseTimeout, func() ([]nodeName, error) {
		all, err := q.claims()
		if err != nil {
			return nil, err
		}
		f, err := frontOf(q.s, q.path, all)
		head = f.head
		return ownedBy(all, attemptID), err
	})
	return owned, head, err
}

// ownedBy returns an attempt's claims, in no order.
func ownedBy(claims []nodeName, attemptID string) []nodeName {
	return slices.DeleteFunc(claims, func(n nodeName) bool { return n.attemptID != attemptID })
}

// holder tells who holds the lock, and the number of claims. If the first claim is gone each time that its node
// is to be read, as in a lock that goes from hand to hand, sure is false, and only the attempt's ID is known. Only the holder
// knows what is left of its lease; Left is its TTL, the most that it can be.
func (q queue) holder() (h driver.Holder, count int, sure bool, err error) {
	for range maxLooks {
		f, err := q.front()
		if err != nil || f.count == 0 {
			return driver.Holder{}, 0, true, err
		}
		if f.head.text == "" {
			continue
		}
		h = driver.Holder{AttemptID: f.head.attemptID}
		data, st, err := q.s.Get(q.path + "/" + f.head.text)
		switch {
		case err == nil:
			h.Token = fencing.Token(st.Czxid)
			h.Left, h.Identity, h.Meta = parseRecord(data)
			return h, f.count, true, nil
		case !errors.Is(err, zk.ErrNoNode):
			return h, 0, false, err
		}
	}
	return h, 0, false, nil
}

// position finds a claim in its queue, and proves that its node is there and of this
// session. If its czxid is not 0 that is known, and of this session.
//
// Why is the list of a server that lags good enough? It has our own node in it, so it is at least
// as new as our create. Claims are in the order of their creation, so it has every claim that
// came before ours, unless that is gone for good. What it may miss is later: claims behind ours,
// and deletions before ours. So a claim that is the first in the list is the first. A claim that
// is not may wait for a node that is gone; it finds that out when it watches the node.
//
// If the claim's czxid is known, the answer to the create, or an earlier look, has shown that
// the node is of our session. No other node has its name and number, so it is enough that the
// list has it. If the czxid is not known, the state of the node is asked for at the same time.
// Each of the two answers is true by itself, whichever is older.
func (q queue) position(node string, czxid int64) (position, error) {
	var proof *session.Task
	if czxid == 0 {
		proof = q.s.Start(func() (err error) { czxid, err = q.verify(node); return err })
	}
	children, err := session.List(q.s, q.path)
	if proof != nil {
		if unproven := proof.Wait(); err == nil {
			err = unproven
		}
	}
	if err != nil {
		return position{}, err
	}
	me, _ := parseName(node)
	me.czxid = czxid
	if me.beyond() {
		return q.positionBeyond(me, children)
	}
	return orNoNode(positionOf(parseAll(children), me))
}

func orNoNode(p position) (position, error) {
	if !p.inQueue {
		return position{}, zk.ErrNoNode
	}
	return p, nil
}

// verify proves that a claim's node is there and of this session, and returns its czxid. A
// node of another session with our name goes when that session goes, so it is nothing to rely on
// (CURATOR-498).
func (q queue) verify(node string) (czxid int64, err error) {
	st, err := session.Stat(q.s, q.path+"/"+node)
	switch {
	case err != nil:
		return 0, err
	case !q.s.Owns(st):
		return 0, zk.ErrNoNode
	}
	return st.Czxid, nil
}

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
		claims, err := readCzxids(q.s, q.path, claims, me)
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
		if children, err = session.List(q.s, q.path); err != nil {
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
	_, err := q.s.Transact([]any{
		&zk.CreateRequest{Path: guard, Acl: q.acl},
		&zk.CreateRequest{Path: child, Acl: q.acl},
	})
	if errors.Is(err, zk.ErrNodeExists) {
		return nil
	}
	return err
}

// handOffOps deletes the node of a holder, and tells the waiter behind it by a write to the node
// in the same transaction: see waitForPredecessor.
func handOffOps(path string) (ops []any) {
	return []any{
		&zk.SetDataRequest{Path: path, Version: -1},
		&zk.DeleteRequest{Path: path, Version: -1},
	}
}

// handOff does so for the first claim of a queue. Beyond the range of the numbers nobody is told
// so that it is the first: see waitForPredecessor.
func (q queue) handOff(head nodeName) error {
	ops := handOffOps(q.path + "/" + head.text)
	if head.beyond() {
		ops = ops[1:]
	}
	_, err := q.s.Multi(ops...)
	if errors.Is(err, zk.ErrNoAuth) { // we may not write to the node; the waiter will list the queue
		_, err = q.s.Multi(ops[len(ops)-1])
	}
	return err
}
