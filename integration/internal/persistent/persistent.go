// Package persistent makes a backend ask again when it got no answer, as the core of
// fencelock does, so that the conformance suite can be run while replies are lost.
package persistent

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// Backend is a driver.Backend that asks again.
//
// The core does not ask again whether Release and Evict have done what they were
// told, for nobody can say. Here it is done, since the loss of one reply may cost
// those of others that share the connection: "there was nothing to end", after an
// answer was lost, is taken for success where a grant was there to be ended.
type Backend struct {
	driver.Backend
	close  sync.Once
	closed chan struct{}
	held   sync.Map // by owner: granted here, and not released
}

// New wraps a backend.
func New(b driver.Backend) *Backend {
	return &Backend{Backend: b, closed: make(chan struct{})}
}

// Close ends the asking, too.
func (p *Backend) Close() error {
	p.close.Do(func() { close(p.closed) })
	return p.Backend.Close()
}

// Acquire asks until there is an answer.
func (p *Backend) Acquire(ctx context.Context, req driver.Request) (driver.Grant, error) {
	for {
		g, err := p.Backend.Acquire(ctx, req)
		if !p.goesOn(ctx, err) {
			if err != nil && ctx.Err() != nil {
				err = ctx.Err()
			}
			if err == nil {
				p.held.Store(req.AttemptID, true)
			}
			return g, err
		}
		req.Retry = true
	}
}

// Renew asks until there is an answer for each.
func (p *Backend) Renew(ctx context.Context, grants []driver.Grant) []driver.Renewal {
	out := p.Backend.Renew(ctx, grants)
	for i := range out {
		for p.goesOn(ctx, out[i].Err) {
			out[i] = p.Backend.Renew(ctx, grants[i:i+1])[0]
		}
	}
	return out
}

// Release asks until there is an answer.
func (p *Backend) Release(ctx context.Context, g driver.Grant) error {
	_, held := p.held.LoadAndDelete(g.AttemptID)
	for again := false; ; again = true {
		switch err := p.Backend.Release(ctx, g); {
		case p.goesOn(ctx, err):
		case again && held && errors.Is(err, driver.ErrNotHeld):
			return nil
		default:
			return err
		}
	}
}

// Evict asks until there is an answer. Without an attempt's ID it also stops when the holder is
// another, since a second Evict might hit that one.
func (p *Backend) Evict(ctx context.Context, key, attemptID string) error {
	before, err := p.Inspect(ctx, key)
	if err != nil {
		return err
	}
	if attemptID != "" {
		held := before.Held() && before.Holders[0].AttemptID == attemptID
		for again := false; ; again = true {
			switch err := p.Backend.Evict(ctx, key, attemptID); {
			case p.goesOn(ctx, err):
			case again && held && errors.Is(err, driver.ErrNotHeld):
				return nil
			default:
				return err
			}
		}
	}
	for {
		if err := p.Backend.Evict(ctx, key, ""); !p.goesOn(ctx, err) {
			return err
		}
		// The request may still be on its way to be carried out. If it is not within the
		// settled time, it was lost.
		for began := time.Now(); time.Since(began) < settled; time.Sleep(settled / 100) {
			now, err := p.Inspect(ctx, key)
			if err != nil || before.Held() && (!now.Held() || now.Holders[0].Token != before.Holders[0].Token) {
				return err
			}
			if !before.Held() {
				break
			}
		}
	}
}

// settled is how long after the end of a connection a server may still carry out what
// came on it.
const settled = time.Second

// Inspect asks until there is an answer.
func (p *Backend) Inspect(ctx context.Context, key string) (driver.Status, error) {
	for {
		if s, err := p.Backend.Inspect(ctx, key); !p.goesOn(ctx, err) {
			return s, err
		}
	}
}

// ListHeld asks for the page until there is an answer.
func (p *Backend) ListHeld(ctx context.Context, prefix, cursor string, limit int) (driver.Page, error) {
	for {
		if page, err := p.Backend.ListHeld(ctx, prefix, cursor, limit); !p.goesOn(ctx, err) {
			return page, err
		}
	}
}

func (p *Backend) goesOn(ctx context.Context, err error) bool {
	if !errors.Is(err, driver.ErrUnavailable) {
		return false
	}
	select {
	case <-time.After(time.Millisecond):
		return true
	case <-p.closed:
		return false
	case <-ctx.Done():
		return false
	}
}
