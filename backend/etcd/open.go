package etcd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/claims"
)

func init() {
	for _, scheme := range []string{"etcd", "etcds"} {
		fencelock.Register(scheme, Open)
	}
}

// Options configure a backend made by [New]. Nil and zero fields mean the
// defaults.
type Options struct {
	// Namespace is what all keys begin with: 1 to 64 letters, digits and
	// . _ : - / characters. "fencelock" if empty. Clients that are to exclude each
	// other have the same.
	Namespace string
}

// Open connects to the cluster that u names; see the package comment for the form
// of the URL. It is what fencelock.Open calls.
func Open(ctx context.Context, u *url.URL) (driver.Backend, error) {
	conf, opts, err := parseURL(u)
	if err != nil {
		return nil, err
	}
	client, err := connect(ctx, conf)
	if err != nil {
		return nil, err
	}
	b, err := open(ctx, client, opts)
	if err != nil {
		_ = client.Close() // says nothing that matters after err
		return nil, err
	}
	b.ownsClient = true
	return b, nil
}

// connect makes a client. That takes a request if there is a password, which the
// client bounds by a timeout and not by a context.
func connect(ctx context.Context, conf clientv3.Config) (*clientv3.Client, error) {
	type result struct {
		client *clientv3.Client
		err    error
	}
	made := make(chan result, 1)
	go func() {
		client, err := clientv3.New(conf)
		made <- result{client, err}
	}()
	select {
	case r := <-made:
		if r.err != nil {
			return nil, fmt.Errorf("connecting: %w", fault(ctx, r.err))
		}
		return r.client, nil
	case <-ctx.Done():
		go func() {
			if r := <-made; r.err == nil {
				_ = r.client.Close()
			}
		}()
		return nil, context.Cause(ctx)
	}
}

// New makes a backend of a client that the application has. Close leaves the
// client open. opts may be nil.
//
// A client without DialKeepAliveTime notices a member that has gone silent late;
// requests that are lost to it then cost their timeout each.
func New(ctx context.Context, client *clientv3.Client, opts *Options) (driver.Backend, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	return open(ctx, client, o)
}

// backend implements driver.Backend for one etcd cluster.
type backend struct {
	client     *clientv3.Client
	ownsClient bool // it came from Open
	single     bool // the client knows one member only
	namespace  string
	info       driver.Info
	batch      batch

	mu       sync.Mutex
	sessions map[time.Duration]*opening // by TTL class
	claims   map[string]*claim          // by owner
	names    map[string]*claim          // by name on the server
	released claims.Released[string]

	closing   context.Context // done when Close begins
	beginStop context.CancelFunc
	running   sync.WaitGroup // goroutines of sessions
	closeOnce sync.Once
	closeErr  error
}

var _ driver.Backend = (*backend)(nil)

var errClosed = errors.New("etcd: the backend is closed")

func open(ctx context.Context, client *clientv3.Client, opts Options) (*backend, error) {
	if opts.Namespace == "" {
		opts.Namespace = defaultNamespace
	}
	if why := checkNamespace(opts.Namespace); why != "" {
		return nil, fmt.Errorf("%w: namespace %q: %s", fencelock.ErrInvalid, opts.Namespace, why)
	}
	if err := checkServer(ctx, client, opts.Namespace); err != nil {
		return nil, err
	}
	b := &backend{
		client:    client,
		single:    len(client.Endpoints()) == 1,
		namespace: opts.Namespace,
		info: driver.Info{
			Name:      "etcd",
			Guarantee: driver.Linearizable,
			Features:  driver.Fair | driver.Push,
			MinTTL:    time.Second,
			MaxTTL:    24 * time.Hour,
		},
		sessions: make(map[time.Duration]*opening),
		claims:   make(map[string]*claim),
		names:    make(map[string]*claim),
	}
	b.closing, b.beginStop = context.WithCancel(context.Background())
	b.batch = batch{client: client, closing: b.closing, most: togetherMost}
	return b, nil
}

func (b *backend) Info() driver.Info { return b.info }

// Close ends calls under way and the connections. It releases no grant: sessions
// that have none are ended, so that the server forgets them at once, the others
// with their TTL.
func (b *backend) Close() error {
	b.closeOnce.Do(func() {
		b.mu.Lock() // from here on goLocked starts nothing
		b.beginStop()
		b.mu.Unlock()
		b.running.Wait()
		b.batch.wait()
		b.endIdleSessions()
		if b.ownsClient {
			b.closeErr = b.client.Close()
		}
	})
	return b.closeErr
}

// goLocked starts a goroutine for which Close waits, unless Close has begun.
// Called with mu held.
func (b *backend) goLocked(f func()) bool {
	if b.closing.Err() != nil {
		return false
	}
	b.running.Go(f)
	return true
}

func (b *backend) goUnlessClosed(f func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.goLocked(f)
}
