package redis

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/address"
)

// backend implements driver.Backend.
type backend struct {
	names
	info          driver.Info
	store         store
	ttl           lastTTL
	registry      registry
	releases      *releases // nil where no other server takes the place of one
	notifications *notifications
	contact       *address.Contact
	wait          int // Options.Wait

	closing   context.Context // done when Close begins
	beginStop context.CancelFunc
	closeOnce sync.Once
}

// store is where the locks are: one server. Errors are raw, for node.Classify, unless a method says otherwise.
type store interface {
	// setUp checks the servers, and subscribes. It sets what of Info depends on them. Its error has been through
	// node.Classify.
	setUp(ctx context.Context, b *backend, opts Options) error

	// ask sends what an attempt asks about its lock, and returns the answer. If ctx ends first, the outcome is not
	// known, except with batch.ErrNotTaken.
	ask(ctx context.Context, p part) answer

	// renew extends grants, keysPerScript at the most, and sets out for each. Its errors have been through node.Classify.
	renew(ctx context.Context, grants []driver.Grant, out []driver.Renewal)

	// look runs a script about one lock, and returns its answer about it. The script's keys are the lock, and the
	// counter if there is one.
	look(ctx context.Context, s *node.Script, lock string, args ...any) (any, error)

	// nodes are the servers of which each has a part of the locks, in an order that is the same as long as stamp
	// is, and each lock stays where it is. With fresh they are asked for that now.
	nodes(ctx context.Context, fresh bool) (all []*node.Node, stamp string, err error)

	// holders runs listScript about locks, keysPerScript at the most, and returns its answers in order.
	holders(ctx context.Context, locks []any) ([]any, error)

	// end calls begin, which ends the backend's closing; close then ends the connections, and waits for what is
	// under way.
	end(begin func())
	close()
}

var _ driver.Backend = (*backend)(nil)

// open makes a backend whose locks are in the store that newStore makes.
func open(ctx context.Context, opts Options, newStore func(b *backend) store) (_ driver.Backend, err error) {
	if opts.Namespace == "" {
		opts.Namespace = "fencelock"
	}
	if why := node.CheckNamespace(opts.Namespace); why != "" {
		return nil, fmt.Errorf("%w: namespace %q: %s", driver.ErrInvalid, opts.Namespace, why)
	}
	if opts.Wait < 0 {
		return nil, fmt.Errorf("%w: Wait is %d: say how many replicas are to have a lock before Lock returns", driver.ErrInvalid, opts.Wait)
	}
	var id [8]byte
	rand.Read(id[:]) // never fails
	b := &backend{
		names: newNames(opts.Namespace, hex.EncodeToString(id[:])),
		wait:  opts.Wait,
		info: driver.Info{
			Name:      "redis",
			Namespace: opts.Namespace,
			Guarantee: driver.Advisory,
			Features:  driver.Fair | driver.Push,
			MinTTL:    100 * time.Millisecond,
			MaxTTL:    24 * time.Hour,
		},
	}
	b.closing, b.beginStop = context.WithCancel(context.Background())
	b.contact = address.NewContact(opts.Logger)
	b.store = newStore(b)
	b.notifications = &notifications{backend: b, registry: &b.registry}

	going := context.AfterFunc(ctx, b.beginStop) // ends whatever setUp waits for
	err = b.store.setUp(ctx, b, opts)
	if !going() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = b.Close() // err says more than an error of Close
		return nil, err
	}
	b.contact.Reached()
	return b, nil
}

func (b *backend) Info() driver.Info { return b.info }

// Close ends calls under way and the connections; it releases no grant.
func (b *backend) Close() error {
	b.closeOnce.Do(func() {
		b.store.end(b.beginStop)
		node.CloseWithin(func() {
			b.store.close()
			b.notifications.running.Wait()
		})
	})
	return nil
}
