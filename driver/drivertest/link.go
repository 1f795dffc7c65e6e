package drivertest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// Link puts a network between a client and a backend that has none, so that the
// rules about outages can be run on it, and the core be tested against slow and
// silent servers.
type Link struct {
	driver.Backend
	// Delay is how long a request travels, and again a reply.
	Delay time.Duration

	mu     sync.Mutex
	up     chan struct{} // closed while the link works
	close  sync.Once
	closed chan struct{}
}

// NewLink returns a link that works.
func NewLink(b driver.Backend, delay time.Duration) *Link {
	up := make(chan struct{})
	close(up)
	return &Link{Backend: b, Delay: delay, up: up, closed: make(chan struct{})}
}

// Close ends calls under way, also those that a cut keeps waiting.
func (l *Link) Close() error {
	l.close.Do(func() { close(l.closed) })
	return l.Backend.Close()
}

// Cut makes the link silent: requests do not arrive, and replies that are on
// their way wait. It returns the function that mends it.
func (l *Link) Cut() (heal func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	down := make(chan struct{})
	l.up = down
	return sync.OnceFunc(func() { close(down) })
}

// travel is one way over the link.
func (l *Link) travel(ctx context.Context) error {
	if err := pause(ctx, l.Delay); err != nil {
		return err
	}
	l.mu.Lock()
	up := l.up
	l.mu.Unlock()
	select {
	case <-up:
		return nil
	case <-l.closed:
		return errors.New("closed")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// works reports whether the link is not cut.
func (l *Link) works() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.up:
		return true
	default:
		return false
	}
}

// over carries a request to the server and its reply back. A request that was
// not sent and a reply that is lost look the same to the caller.
func (l *Link) over(ctx context.Context, call func() error) error {
	if err := l.travel(ctx); err != nil {
		return fmt.Errorf("%w: %w", driver.ErrUnavailable, err)
	}
	err := call()
	if lost := l.travel(ctx); lost != nil {
		return fmt.Errorf("%w: %w", driver.ErrUnavailable, lost)
	}
	return err
}

// Acquire is driver.Backend's, over the link. What the server says of its own accord while the
// link is cut does not arrive, as on a connection that has to be made again.
func (l *Link) Acquire(ctx context.Context, req driver.Request) (g driver.Grant, err error) {
	if told := req.Waiting; told != nil {
		req.Waiting = func() {
			if l.works() {
				told()
			}
		}
	}
	if lost := req.Lost; lost != nil {
		req.Lost = func(why error) {
			if l.works() {
				lost(why)
			}
		}
	}
	err = l.over(ctx, func() (err error) {
		g, err = l.Backend.Acquire(ctx, req)
		return err
	})
	if err != nil {
		return driver.Grant{}, err
	}
	return g, nil
}

// Renew is driver.Backend's, over the link.
func (l *Link) Renew(ctx context.Context, grants []driver.Grant) (out []driver.Renewal) {
	err := l.over(ctx, func() error {
		out = l.Backend.Renew(ctx, grants)
		return nil
	})
	if err != nil {
		out = make([]driver.Renewal, len(grants))
		for i := range out {
			out[i].Err = err
		}
	}
	return out
}

// Release is driver.Backend's, over the link.
func (l *Link) Release(ctx context.Context, g driver.Grant) error {
	return l.over(ctx, func() error { return l.Backend.Release(ctx, g) })
}

// Inspect is driver.Backend's, over the link.
func (l *Link) Inspect(ctx context.Context, key string) (s driver.Status, err error) {
	err = l.over(ctx, func() (err error) {
		s, err = l.Backend.Inspect(ctx, key)
		return err
	})
	if err != nil {
		return driver.Status{}, err
	}
	return s, nil
}

// ListHeld is driver.Backend's, over the link.
func (l *Link) ListHeld(ctx context.Context, prefix, cursor string, limit int) (p driver.Page, err error) {
	err = l.over(ctx, func() (err error) {
		p, err = l.Backend.ListHeld(ctx, prefix, cursor, limit)
		return err
	})
	if err != nil {
		return driver.Page{}, err
	}
	return p, nil
}

// Evict is driver.Backend's, over the link.
func (l *Link) Evict(ctx context.Context, key, attemptID string) error {
	return l.over(ctx, func() error { return l.Backend.Evict(ctx, key, attemptID) })
}
