package redis

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/address"
)

// backend implements driver.Backend for one Redis server.
type backend struct {
	names
	info          driver.Info
	node          *node.Node
	requests      *requests
	ttl           lastTTL
	registry      registry
	notifications *notifications
	contact       *address.Contact

	closing   context.Context // done when Close begins
	beginStop context.CancelFunc
	closeOnce sync.Once
}

var _ driver.Backend = (*backend)(nil)

func open(ctx context.Context, conf goredis.Options, opts Options) (_ driver.Backend, err error) {
	if opts.Namespace == "" {
		opts.Namespace = "fencelock"
	}
	if why := node.CheckNamespace(opts.Namespace); why != "" {
		return nil, fmt.Errorf("%w: namespace %q: %s", driver.ErrInvalid, opts.Namespace, why)
	}
	var id [8]byte
	rand.Read(id[:]) // never fails
	b := &backend{
		names: newNames(opts.Namespace, hex.EncodeToString(id[:])),
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
	b.node = node.New(b.closing, node.Config{Options: conf, Contact: b.contact, DirectLimit: 8, Senders: 2}) //nolint:contextcheck // it outlives Open
	b.requests = newRequests(b.closing, &b.names, b.node)                                                    //nolint:contextcheck // it outlives Open
	b.notifications = &notifications{backend: b, registry: &b.registry}

	going := context.AfterFunc(ctx, b.beginStop) // ends whatever setUp waits for
	err = b.setUp(ctx, opts)
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

// setUp checks the server, loads the scripts, and subscribes.
func (b *backend) setUp(ctx context.Context, opts Options) error {
	// The first TryLock of a short TTL then need not wait for its connection.
	b.node.Warm()

	server, err := b.node.Look(ctx)
	if err != nil {
		return err
	}
	if err := server.Usable(); err != nil {
		return err
	}
	if weak := server.NotDurable(); opts.Durable && weak != "" {
		return fmt.Errorf("%w: durable=true, but %s", driver.ErrUnsupported, weak)
	}
	b.info.Warnings = server.Warnings()
	if err := b.node.Prepare(ctx, allScripts, permissions(opts.Namespace, b.channel)); err != nil {
		return err
	}
	asked := time.Now()
	if err := b.requests.makeReady(ctx); err != nil {
		return node.Classify(ctx, err)
	}
	b.requests.suit(min(time.Since(asked), b.node.Trip()))
	return b.node.Subscribe(ctx, b.channel, b.notifications.onMessage, b.notifications.onResubscribe)
}

func (b *backend) Info() driver.Info { return b.info }

// Close ends calls under way and the connections; it releases no grant.
func (b *backend) Close() error {
	b.closeOnce.Do(func() {
		b.requests.end(b.beginStop)
		node.CloseWithin(func() {
			b.node.Close()
			b.requests.running.Wait()
			b.notifications.running.Wait()
		})
	})
	return nil
}
