package redis

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/url"
	"strconv"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
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
}

// Open connects to the server that u names; see the package comment for the form
// of the URL. It is what fencelock.Open calls.
func Open(ctx context.Context, u *url.URL) (driver.Backend, error) {
	conf, opts, err := parseURL(u)
	if err != nil {
		return nil, err
	}
	client := goredis.NewClient(conf)
	b, err := open(ctx, client, opts)
	if err != nil {
		_ = client.Close() // says nothing that matters after err
		return nil, err
	}
	b.ownsClient, b.pipe = true, newPipe(client)
	return b, nil
}

// New makes a backend of a client that the application has. Close leaves the
// client open. opts may be nil.
//
// A client that retries commands by itself (go-redis does, three times, unless
// MaxRetries is -1) costs every Unlock one more write on the server, for a late
// copy of a request must be kept out. One without ContextTimeoutEnabled may keep
// a connection busy for its ReadTimeout after a call has been given up.
func New(ctx context.Context, client *goredis.Client, opts *Options) (driver.Backend, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	return open(ctx, client, o)
}

// backend implements driver.Backend for one Redis server.
type backend struct {
	client     *goredis.Client
	ownsClient bool // it came from Open
	retries    bool // the client sends a command again by itself

	shards  [shards]string // the names of a shard begin so
	channel string         // of this client: where pushes for it come
	info    driver.Info
	pipe    *pipe
	pushes  *pushes

	closing   context.Context // done when Close begins
	beginStop context.CancelFunc
	closeOnce sync.Once
	closeErr  error
}

var _ driver.Backend = (*backend)(nil)

func open(ctx context.Context, client *goredis.Client, opts Options) (*backend, error) {
	if opts.Namespace == "" {
		opts.Namespace = "fencelock"
	}
	if why := checkNamespace(opts.Namespace); why != "" {
		return nil, fmt.Errorf("%w: namespace %q: %s", fencelock.ErrInvalid, opts.Namespace, why)
	}
	warnings, err := checkServer(ctx, client, opts.Durable)
	if err != nil {
		return nil, err
	}
	for _, s := range allScripts {
		if err := client.ScriptLoad(ctx, s.source).Err(); err != nil {
			return nil, fmt.Errorf("loading the scripts: %w", fault(ctx, err))
		}
	}
	var id [8]byte
	rand.Read(id[:]) // never fails
	b := &backend{
		client:  client,
		retries: client.Options().MaxRetries > 0,
		shards:  shardNames(opts.Namespace),
		channel: opts.Namespace + ":c:" + hex.EncodeToString(id[:]),
		info: driver.Info{
			Name:      "redis",
			Guarantee: driver.Advisory,
			Features:  driver.Fair | driver.Push,
			MinTTL:    100 * time.Millisecond,
			MaxTTL:    24 * time.Hour,
			Warnings:  warnings,
		},
	}
	b.pipe = sharedPipe(client)
	b.closing, b.beginStop = context.WithCancel(context.Background())
	if b.pushes, err = subscribe(ctx, b); err != nil {
		b.beginStop()
		return nil, err
	}
	return b, nil
}

func (b *backend) Info() driver.Info { return b.info }

// Close ends calls under way and the connections; it releases no grant.
func (b *backend) Close() error {
	b.closeOnce.Do(func() {
		b.beginStop()
		b.pushes.close()
		if b.ownsClient {
			b.closeErr = b.client.Close() // ends commands under way, too
		}
		b.pipe.close()
	})
	return b.closeErr
}

// serverTTL is a TTL as the scripts take it, in ms. They cut the time to whole ms,
// and a lease must not end early there: hence one more.
func serverTTL(ttl time.Duration) string { return strconv.FormatInt(ttl.Milliseconds()+1, 10) }

// requestTimeout bounds one request about a lease of this TTL.
func requestTimeout(ttl time.Duration) time.Duration { return min(ttl/3, 3*time.Second) }
