package mem

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// backend is one client of a space.
type backend struct {
	space     *Space
	namespace string
	minTTL    time.Duration
	close     sync.Once
	closed    chan struct{}
}

var _ driver.Backend = (*backend)(nil)

// errClosed is not definitive: what the closed client held may be held still.
var errClosed = fmt.Errorf("%w: closed", driver.ErrUnavailable)

func (b *backend) Info() driver.Info {
	return driver.Info{
		Name:      "mem",
		Guarantee: driver.Linearizable,
		Features:  driver.Fair | driver.Push,
		Namespace: b.namespace,
		MinTTL:    b.minTTL,
		MaxTTL:    24 * time.Hour,
		SameClock: true,
	}
}

func (b *backend) Close() error {
	b.close.Do(func() { close(b.closed) })
	return nil
}

func (b *backend) id(key string) keyID { return keyID{b.namespace, key} }

// usable refuses what a client with a connection would fail at, so that a test
// on mem finds a caller that releases with a dead context.
func (b *backend) usable(ctx context.Context) error {
	select {
	case <-b.closed:
		return errClosed
	default:
		return ctx.Err()
	}
}
