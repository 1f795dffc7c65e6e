package fencelock

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// closeTimeout bounds Close.
const closeTimeout = 5 * time.Second

// Of it requests take closeAsking at most; the goroutines that sent them, the log and the
// observer are waited for until closeWaiting; the rest is for the backend to close.
const (
	closeAsking  = closeTimeout - 500*time.Millisecond
	closeWaiting = closeTimeout - 250*time.Millisecond
)

// closeWorkers release the leases that Close finds.
const closeWorkers = 64

// Close ends the client. Calls under way, waiters among them, end with ErrClosed
// and leave nothing behind; leases that are held are unlocked; then the
// connection is closed. Later calls of Close wait until the first is over, and return nil: a
// program may end when any of them has returned.
//
// Close releases locks at once that [WithMinHold] keeps beyond their Unlock. A program that ends
// after such a job, and wants the lock to stay, does not call Close, and leaves the lock to its
// TTL.
//
// It takes 5 s at most, whatever the server, the log and the observer do. What could not
// be released by then ends with its TTL, and the error says how many leases that are.
func (c *Client) Close() error {
	if err := c.checkMade("close", ""); err != nil {
		return err
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		<-c.over
		return nil
	}
	c.closed = true
	defer close(c.over)
	calls := slices.Collect(maps.Keys(c.calls))
	c.mu.Unlock()
	for _, call := range calls { // without mu: a caller's context may be that of a lease, or ask one
		call.finish(ErrClosed)
	}

	by := time.Now().Add(closeAsking)
	c.closeBy.Store(&by)
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	var kept atomic.Int64 // leases that are not known to be free
	done := make(chan error, 1)
	go func() { done <- c.shutDown(ctx, by, &kept) }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		err = fmt.Errorf("%w: the backend is not closed after %v", ErrUnavailable, closeTimeout)
	}
	if n := kept.Load(); n > 0 {
		err = errors.Join(fmt.Errorf("%d leases could not be released; they end with their TTL", n), err)
	}
	if err != nil {
		return &Error{Op: "close", Backend: c.info.Name, Kind: kindOf(err), Err: withoutContext(err)}
	}
	return nil
}

// shutDown does what Close is for. Requests end at the time of by, since requestEnds says
// so; a backend that does not keep to it is left behind, at each step, rather than waited
// for: closing it may be what ends its calls.
func (c *Client) shutDown(ctx context.Context, by time.Time, kept *atomic.Int64) error {
	asking, cancel := context.WithDeadline(ctx, by)
	defer cancel()
	waiting, cancel := context.WithDeadline(ctx, by.Add(closeWaiting-closeAsking))
	defer cancel()
	// A Lock that was granted while its context was being cancelled returns its
	// lease, and hold has entered it by the time that the call ends. One that was
	// cancelled first has told the janitor. Both are dealt with below. Calls end soon; half
	// the time is for a backend that lets them hang, whose leases then end by themselves.
	idle, enough := context.WithTimeout(asking, closeAsking/2)
	waitFor(idle, &c.idle)
	enough()

	c.unlockAll(asking, kept)
	c.mu.Lock()
	c.held.stop() // a call that a backend lets hang may come with a lease yet, which is watched again
	c.mu.Unlock()
	c.unwatch()
	c.renewal.stop(waiting)
	c.janitor.stop(waiting, asking)
	c.telling.wait(waiting)
	c.flush(waiting)
	return c.backend.Close()
}

// waitFor waits for the group, or until ctx ends.
func waitFor(ctx context.Context, group *sync.WaitGroup) {
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// unlockAll unlocks every lease, and counts those that are not known to be free.
func (c *Client) unlockAll(ctx context.Context, kept *atomic.Int64) {
	c.mu.Lock()
	held := make(chan *Lease, len(c.held.leases))
	for _, l := range c.held.leases {
		held <- l
	}
	c.mu.Unlock()
	close(held)
	kept.Add(int64(len(held)))

	var workers sync.WaitGroup
	for range min(closeWorkers, len(held)) {
		workers.Go(func() {
			for l := range held {
				if ctx.Err() != nil {
					l.endClosed()
				} else if err := l.Unlock(ctx); err == nil || errors.Is(err, ErrLost) {
					kept.Add(-1)
				}
			}
		})
	}
	waitFor(ctx, &workers)
	for l := range held { // the workers hang, or have just seen that the time is up
		l.endClosed()
	}
}

// endClosed ends the lease here, and lets it expire on the server, which has not answered
// for too long.
func (l *Lease) endClosed() {
	l.end(&Error{Op: "hold", Backend: l.client.info.Name, Key: l.grant.Key, Kind: ErrUnlocked, Err: ErrClosed})
}
