package session

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

// barriers are writes that change nothing. When one is answered, the session was alive (see
// confirm), and this connection's server has caught up with all that was committed before. So has
// this client, since the events of watches come before the answer. And no request that was sent
// before the barrier, on a connection that broke either, will still be carried out: the server
// carries out a session's requests in the order in which they were sent, and closes a session's
// old connection, or refuses what comes by it ("session moved"), before it serves the new one.
//
// A barrier is a transaction that only checks that a node exists. It needs no more than the
// permission to read. Callers that come while one is under way share the next one.
type barriers struct {
	session *Session

	mu             sync.Mutex
	underway, next *Task
	begunAt        time.Time // of the last one
	at             time.Time // see Confirmed
	waiters        int
}

// Barrier waits for a barrier that is sent after the call.
func (b *barriers) Barrier(ctx context.Context, timeout time.Duration) error {
	b.mu.Lock()
	t := b.joinLocked()
	b.mu.Unlock()
	return b.session.Await(ctx, t, timeout)
}

func (b *barriers) joinLocked() *Task {
	if b.underway == nil {
		t := b.session.pool.newTask()
		b.runLocked(t)
		return t
	}
	if b.next == nil {
		b.next = b.session.pool.newTask()
	}
	return b.next
}

func (b *barriers) runLocked(t *Task) {
	b.underway, b.begunAt = t, time.Now()
	if t.begin() {
		go func() { t.End(b.send()) }()
		return
	}
	b.underway = nil // Close has begun
}

// send is the task of a barrier. Servers agree on the answer that the root has been
// deleted, or is not for us, as on any other. What one server refuses by itself, such as when it
// has too much to do, proves nothing.
func (b *barriers) send() error {
	sent := time.Now()
	_, err := b.session.Transact([]any{&zk.CheckVersionRequest{Path: b.session.pool.config.Root, Version: -1}})
	if errors.Is(err, zk.ErrNoNode) || errors.Is(err, zk.ErrNoAuth) {
		b.confirm(sent)
		err = nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	next := b.next
	b.underway, b.next = nil, nil
	if next != nil {
		b.runLocked(next)
	}
	return err
}

// confirm notes that a write was carried out which was sent at the given time: the session was
// alive, and was heard of then or later.
//
// Only writes count. A majority agrees on each, so it proves that the leader which counts this
// session's time was the leader. One server answers reads, and any server that takes itself for
// the leader answers a sync (ZOOKEEPER-1675). A leader that has been cut off does so for a while;
// meanwhile a new leader may let the session expire, and let another client have the lock. A new
// leader counts from its election, later than any write before it.
func (b *barriers) confirm(sent time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if sent.After(b.at) {
		b.at = sent
	}
}

// Confirmed is when the last write was sent that was carried out: the session lives for its TTL
// from then, at least. It never goes back.
func (b *barriers) Confirmed() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at
}

// ConfirmedEvery returns when the session was last confirmed, and has it confirmed again if that
// is too long ago. keepAlive does so for the session's own TTL, which may be far longer than that
// of the one who asks. If a confirmation is refused at once, the next one is not asked for at once.
func (b *barriers) ConfirmedEvery(d time.Duration) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Since(b.at) > d && time.Since(b.begunAt) > d/4 && b.underway == nil {
		b.joinLocked()
	}
	return b.at
}

func (b *barriers) addWaiters(more int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiters += more
}

// keepConfirmed has the session confirmed if that is due while anybody waits. It returns for how
// long it is not.
func (b *barriers) keepConfirmed(every time.Duration) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiters == 0 {
		return idleSleep
	}
	if left := time.Until(b.at.Add(every)); left > 0 {
		return left
	}
	if b.underway == nil {
		b.joinLocked()
	}
	return max(every/4, time.Millisecond)
}
