package redis

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/address"
)

func init() {
	for _, scheme := range []string{"redis", "rediss", "unix"} {
		fencelock.Register(scheme, Open)
	}
}

// Options configure a backend made by [New]. Nil and zero fields mean the
// defaults.
type Options struct {
	// Namespace is what the names of all keys and channels begin with: 1 to 64
	// letters, digits and . _ : - characters. "fencelock" if empty. Clients that are
	// to exclude each other have the same.
	Namespace string

	// Durable makes New fail unless the server keeps every grant and token
	// through a crash: append-only file on, appendfsync always,
	// no-appendfsync-on-rewrite no, and nothing evicted.
	Durable bool

	// Logger gets what an operator should know and no call returns: that the server cannot be
	// reached, and that it can again. slog.Default() if nil. Only for New; Open has the one of
	// fencelock.Options.
	Logger *slog.Logger
}

// Open connects to the server that u names; see the package comment for the form
// of the URL. It is what fencelock.Open calls.
func Open(ctx context.Context, u *url.URL, o driver.OpenOptions) (driver.Backend, error) {
	log := o.Log("redis")
	conf, opts, certificates, err := parseURL(u, log)
	if err != nil {
		return nil, err
	}
	ctx, w := address.NewWatch(ctx, u.Scheme, address.Server{Network: conf.Network, Addr: conf.Addr, Certificates: certificates})
	bounded, cancel := context.WithTimeoutCause(ctx, openTimeout, errNotOpened)
	defer cancel()
	opts.Logger = log
	b, err := open(bounded, conf, opts)
	if err != nil {
		err = node.Endpoint{Scheme: u.Scheme, Network: conf.Network, Addr: conf.Addr}.Explain(ctx, err)
	}
	if err = w.End(err); err != nil {
		return nil, err
	}
	return b, nil
}

// openTimeout bounds Open. To connect may take a few round trips, each of which has less.
const openTimeout = 5 * time.Second

// New makes a backend that connects to the server as client does, an application's own:
// by the same dialer, so with its TLS, proxy or Sentinels, as the same user, in the same
// database, with the same OnConnect. Credentials are asked for anew for each connection
// where the client has a function for them. opts may be nil.
//
// The connections are the backend's own, a dozen at the most: an application that uses up
// its pool delays no renewal. So nothing else of the client applies to them, neither its
// time-outs, retries, limits of its pool, Limiter and client-side cache, nor its hooks;
// and neither is closed with the other.
//
// A *redis.ClusterClient and a *redis.Ring are refused, and so are other types: of those nobody knows
// where they connect to.
func New(ctx context.Context, client goredis.UniversalClient, opts *Options) (driver.Backend, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	conf, err := node.OptionsOf("the client", client)
	if err != nil {
		return nil, err
	}
	o.Logger = driver.OpenOptions{Logger: o.Logger}.Log("redis")
	return open(ctx, conf, o)
}

// backend implements driver.Backend for one Redis server.
type backend struct {
	shards  [shards]string // the names of a shard begin so
	channel string         // of this client: where pushes for it come
	info    driver.Info
	node    *node.Node
	waiters *waiters
	contact *address.Contact

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
	b.waiters = newWaiters(b)

	going := context.AfterFunc(ctx, b.beginStop) // ends whatever we wait for
	err = b.setUp(ctx, opts)
	if !going() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = b.Close() // says nothing that matters after err
		return nil, err
	}
	b.contact.Reached()
	return b, nil
}

// setUp looks at the server and prepares it.
func (b *backend) setUp(ctx context.Context, opts Options) error {
	// So that the first TryLock of a short TTL need not wait for its connection.
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
	return b.node.Subscribe(ctx, b.channel, b.waiters.take, b.waiters.again)
}

func (b *backend) Info() driver.Info { return b.info }

// Close ends calls under way and the connections; it releases no grant.
func (b *backend) Close() error {
	b.closeOnce.Do(func() {
		b.beginStop()
		node.CloseWithin(func() {
			b.node.Close()
			b.waiters.running.Wait()
		})
	})
	return nil
}

// serverTTL is a TTL as the scripts take it, in ms. They cut the time to whole ms,
// and a lease must not end early there: hence one more.
func serverTTL(ttl time.Duration) string { return strconv.FormatInt(ttl.Milliseconds()+1, 10) }
