package fencelock

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// closeTimeout bounds how long Close waits for a server that does not answer.
const closeTimeout = 5 * time.Second

// closeWorkers release the leases that Close finds.
const closeWorkers = 64

// Close ends the client. Calls under way, waiters among them, end with ErrClosed
// and leave nothing behind; leases that are held are unlocked; then the
// connection is closed. Later calls of Close return nil at once.
//
// It waits for the server for 5 s at most. What could not be released by then
// ends with its TTL, and the error says how many leases that are.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	for call := range c.calls {
		call.cancel(ErrClosed)
	}
	c.mu.Unlock()
	// A Lock that was granted while its context was being cancelled returns its
	// lease, and hold has entered it by the time that the call ends. One that was
	// cancelled first has told the janitor. Both are dealt with below.
	c.idle.Wait()

	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	failed := c.unlockAll(ctx)
	c.unwatch()
	c.renewal.stop()
	c.janitor.stop(ctx)
	err := c.backend.Close()
	if failed > 0 {
		err = errors.Join(fmt.Errorf("%d leases could not be released; they end with their TTL", failed), err)
	}
	if err != nil {
		return &Error{Op: "close", Backend: c.info.Name, Err: err}
	}
	return nil
}

// unlockAll unlocks every lease and returns how many the server did not confirm.
func (c *Client) unlockAll(ctx context.Context) (failed int) {
	c.mu.Lock()
	held := make(chan *Lease, len(c.leases))
	for l := range c.leases {
		held <- l
	}
	c.mu.Unlock()
	close(held)

	var (
		mu      sync.Mutex
		workers sync.WaitGroup
	)
	for range min(closeWorkers, len(held)) {
		workers.Go(func() {
			for l := range held {
				if ctx.Err() != nil {
					// The server has not answered for too long: end the lease here,
					// and let it expire there.
					l.end(&Error{Op: "hold", Backend: c.info.Name, Key: l.key, Kind: ErrUnlocked, Err: ErrClosed})
				} else if err := l.Unlock(ctx); err == nil || errors.Is(err, ErrLost) {
					continue
				}
				mu.Lock()
				failed++
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	return failed
}
