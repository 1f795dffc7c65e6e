package zookeeper

import (
	"context"
	"errors"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/backend/zookeeper/internal/session"
	"github.com/fencelock/fencelock/driver/attempts"
)

// awaitRemoval waits until nothing of an attempt that is ending is on the server. If the answer
// to a deletion was lost, it begins the next one, since only this backend can tell what the
// answer to that one means.
func (c *claims) awaitRemoval(ctx context.Context, a *attempt, timeout time.Duration) error {
	began := time.Now()
	for tries := 1; ; tries++ {
		if tries == 2 { // a single one has its own timeout
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadlineCause(ctx, began.Add(timeout), session.ErrNoAnswer)
			defer cancel()
		}
		c.mu.Lock()
		if a.Phase() == attempts.Gone {
			defer c.mu.Unlock()
			if a.removed {
				return nil
			}
			return zk.ErrNoNode
		}
		t := c.removeLocked(a)
		c.mu.Unlock()
		err := a.session.Await(ctx, t, timeout)
		if err == nil || session.Answered(err) || ctx.Err() != nil || !a.session.Alive() || time.Since(began) >= timeout {
			return err
		}
		select {
		case <-time.After(session.MinRedial): // the next one needs a new connection
		case <-c.pool.Closing.Done():
			return session.ErrClosed
		case <-ctx.Done():
			return err
		}
	}
}

// removeLocked begins to delete the node of an attempt that is ending, or joins the deletion
// that is under way. If it fails, Look tries again until the server has confirmed it, or the
// session is dead. Otherwise the node would be there for as long as the process lives. Call with
// mu held.
func (c *claims) removeLocked(a *attempt) *session.Task {
	if a.removing == nil {
		placing := a.creating
		t, ok := c.pool.Begin()
		if a.removing = t; ok {
			go func() { t.End(c.removeNode(a, placing)) }()
		}
	}
	return a.removing
}

// removeNode is the task of removeLocked. It returns nil if it deleted a node, and zk.ErrNoNode
// if there was none.
func (c *claims) removeNode(a *attempt, placing *session.Task) error {
	if placing != nil {
		_ = placing.Wait()
	}
	err := c.deleteNode(a)
	c.mu.Lock()
	defer c.mu.Unlock()
	a.removing = nil
	if errors.Is(err, zk.ErrNoNode) && a.deleting {
		// An earlier deletion of ours was not answered, and now the node is gone: the
		// deletion was carried out. Or an eviction came between the two, or right before; but
		// the grant was not known to be lost when it was released, and then it makes no
		// difference to its holder which of the two was a moment earlier.
		err = nil
	}
	if err == nil || errors.Is(err, zk.ErrNoNode) {
		a.removed = a.removed || err == nil
		c.forgetLocked(a)
		return err
	}
	if a.Phase() != attempts.Gone {
		a.tries++
		pause := min(10*time.Millisecond<<min(a.tries, 10), time.Second)
		if session.Lasting(err) {
			pause = refusedAgain
		}
		a.leases.scheduleLocked(a, time.Now().Add(pause))
	}
	return err
}

// refusedAgain is the pause before Look tries again to delete a node that it was not allowed
// to delete. Nothing else ends that node while the process lives, so Look tries again in
// case somebody has changed that.
const refusedAgain = time.Minute

// brief is for how long a lock is held that hardly anybody can have begun to wait for.
const brief = 5 * time.Millisecond

// wasBrief reports whether nobody waited when the attempt got its lock, a moment ago. Then its claim is
// deleted without the write that would tell a waiter: a third less for go-zookeeper to allocate. If
// somebody has come all the same, it lists the queue. Call with registry.mu held.
func (a *attempt) wasBrief() bool { return !a.alone.IsZero() && time.Since(a.alone) < brief }

func (c *claims) deleteNode(a *attempt) error {
	c.mu.Lock()
	claim, unknown, handOff := a.claim, a.Sent, a.Granted() && !a.wasBrief()
	c.mu.Unlock()
	if claim == "" && !unknown {
		return zk.ErrNoNode
	}
	if claim == "" {
		m, err := c.find(a)
		if err != nil {
			return err
		}
		if claim = m.claim; claim == "" {
			return zk.ErrNoNode
		}
	}
	me, _ := parseName(nameIn(claim))
	handOff = handOff && !me.beyond()
	ops := handOffOps(claim)
	if !handOff {
		ops = ops[1:]
	}
	_, err := a.session.Batch.Do(c.pool.Closing, "", ops)
	if handOff && errors.Is(err, zk.ErrNoAuth) { // we may not write to the node; the waiter will list the queue
		_, err = a.session.Batch.Do(c.pool.Closing, "", ops[1:])
	}
	switch {
	case err == nil:
		c.nodes.tidy(a.session, a.path, me)
	case !session.Answered(err):
		c.mu.Lock()
		a.deleting = true
		c.mu.Unlock()
	}
	return err
}
