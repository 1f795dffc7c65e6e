package raftlocal

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/client"
	"github.com/fencelock/fencelock/driver"
)

const (
	// minTTL is two ticks of a member. Time passes in the log, and a deadline is looked at once
	// in a tick of 50 ms: of a shorter lease, most would be that.
	minTTL = 100 * time.Millisecond
	maxTTL = 24 * time.Hour
)

// backend implements driver.Backend on a client of a cluster, whether its members are other
// processes or this one.
type backend struct {
	client  *client.Client
	prefix  string // of all keys: the namespace and a slash
	closers []func() error

	warnings []string // of Info

	kept sync.WaitGroup

	// The client's own lock may be taken while mu is held, and not the other way round: so the
	// order of commands is decided with what we know of their claims.
	mu       sync.Mutex
	closed   bool
	registry registry
}

var _ driver.Backend = (*backend)(nil)

// newBackend returns a backend on a cluster. Close calls the closers, in order, after it has
// ended everything else.
func newBackend(cfg client.Config, namespace string, closers ...func() error) *backend {
	b := &backend{prefix: namespace + "/", closers: closers, registry: newRegistry()}
	cfg.OnPush, cfg.OnReconnect, cfg.OnVoid = b.onPush, b.onReconnect, b.onVoid
	b.client = client.New(cfg)
	b.kept.Go(b.keep)
	return b
}

// Info says what a cluster is and can do.
func (b *backend) Info() driver.Info {
	return driver.Info{
		Name: "raft", Guarantee: driver.Linearizable, Features: driver.Fair | driver.Push,
		MinTTL: minTTL, MaxTTL: maxTTL, Namespace: strings.TrimSuffix(b.prefix, "/"), Warnings: slices.Clone(b.warnings),
	}
}

// Close ends calls under way and the connection. Grants stay, and end with their TTLs.
func (b *backend) Close() error {
	b.mu.Lock()
	again := b.closed
	b.closed = true
	b.mu.Unlock()
	err := b.client.Close()
	b.kept.Wait()
	if again {
		return err
	}
	for _, f := range b.closers {
		err = errors.Join(err, f())
	}
	return err
}
