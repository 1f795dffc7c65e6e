package redis

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/address"
	"github.com/fencelock/fencelock/driver/batch"
)

// backend implements driver.Backend for one Redis server.
type backend struct {
	shards        [shards]string // what the names of a shard begin with
	channel       string         // of this client: where its notifications come
	client        any            // the same, made an argument of scripts once
	counter       any            // the name of the namespace's token counter, likewise
	info          driver.Info
	node          *node.Node
	sender        *batch.Sender[*part, answer]
	ttl           lastTTL
	registry      registry
	notifications *notifications
	contact       *address.Contact

	closing   context.Context // done when Close begins
	beginStop context.CancelFunc
	closeOnce sync.Once
	running   sync.WaitGroup // requests for several callers
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
		shards:  shardNames(opts.Namespace),
		channel: opts.Namespace + ":c:" + hex.EncodeToString(id[:]),
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
	b.client, b.counter = b.channel, opts.Namespace+":t"
	b.sender = b.newSender()
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
	if err := b.makeReady(ctx); err != nil {
		return node.Classify(ctx, err)
	}
	return b.node.Subscribe(ctx, b.channel, b.notifications.onMessage, b.notifications.onResubscribe)
}

func (b *backend) Info() driver.Info { return b.info }

// Close ends calls under way and the connections; it releases no grant.
func (b *backend) Close() error {
	b.closeOnce.Do(func() {
		b.registry.mu.Lock() // for sending
		b.beginStop()
		b.registry.mu.Unlock()
		node.CloseWithin(func() {
			b.node.Close()
			b.running.Wait()
			b.notifications.running.Wait()
		})
	})
	return nil
}

// serverTTL is a TTL as the scripts take it, in ms, plus one: the scripts cut the time to whole ms,
// and a lease must not end early on the server.
func serverTTL(ttl time.Duration) string { return strconv.FormatInt(ttl.Milliseconds()+1, 10) }

// lastTTL remembers what serverTTL made: mostly a client has one TTL.
type lastTTL struct{ last atomic.Pointer[ttlText] }

type ttlText struct {
	ttl  time.Duration
	text string
}

func (l *lastTTL) text(ttl time.Duration) string {
	last := l.last.Load()
	if last == nil || last.ttl != ttl {
		last = &ttlText{ttl, serverTTL(ttl)}
		l.last.Store(last)
	}
	return last.text
}

// shards is the number of hash tags in a namespace. It is part of the format: builds before this layout
// had a token counter for each.
const shards = 128

// shard returns what the name of a lock begins with: the namespace and a hash tag. It is the same as in builds
// before this layout, so that each sees what the other holds. The last letter of a name tells what it names,
// so that no key of an application can collide with another's: l a lock, t a token counter.
func (b *backend) shard(key string) string {
	const prime, start = 16777619, 2166136261 // FNV-1a
	h := uint32(start)
	for i := range len(key) {
		h = (h ^ uint32(key[i])) * prime
	}
	return b.shards[h%shards]
}

func shardNames(namespace string) (names [shards]string) {
	for i := range names {
		names[i] = namespace + ":{" + strconv.Itoa(i) + "}:"
	}
	return names
}

func (b *backend) lockKey(key string) string { return b.shard(key) + key + ":l" }

// keyOf is the inverse of lockKey; ok is false for any other name.
func (b *backend) keyOf(name string) (key string, ok bool) {
	_, rest, _ := strings.Cut(name, "}:")
	key, ok = strings.CutSuffix(rest, ":l")
	return key, ok && key != "" && b.lockKey(key) == name
}
