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
type Backend struct {
	driver.Backend
	close  sync.Once
	closed chan struct{}
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
