package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/address"
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

	// Logger gets what an operator should know and no call returns: that leases cannot be kept
	// alive, and that they can again, that one has ended, that a login or a watch is refused.
	// slog.Default() if nil. Only for New; Open has the one of fencelock.Options.
	Logger *slog.Logger
}

// Open connects to the cluster that u names; see the package comment for the form
// of the URL. It is what fencelock.Open calls.
func Open(ctx context.Context, u *url.URL, o driver.OpenOptions) (driver.Backend, error) {
	log := o.Log("etcd")
	t, err := parseURL(u, log)
	if err != nil {
		return nil, err
	}
	told := &trouble{contact: address.NewContact(log)}
	disconnect := func() {}
	if t.name != "" {
		// The client itself is told of no user: it would log in by itself.
		login := newLogin(t.name, t.password, len(t.conf.Endpoints))
		login.contact = told.contact
		t.conf.DialOptions = append(t.conf.DialOptions, login.options()...)
		disconnect = login.close
	}
	t.conf.DialOptions = append(t.conf.DialOptions, grpc.WithChainUnaryInterceptor(told.unary)) // after that of the login, so inside it
	client, err := clientv3.New(t.conf)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	ctx, w := address.NewWatch(ctx, u.Scheme, t.servers...)
	b, err := open(ctx, client, t.opts, told)
	if err = w.End(whoAsks(u.Scheme, err)); err != nil {
		disconnect()
		_ = client.Close() // says nothing that matters after err
		return nil, err
	}
	b.disconnect = func() error {
		disconnect()
		return client.Close()
	}
	return b, nil
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
	if client == nil {
		return nil, address.Invalid("the client is nil")
	}
	log := driver.OpenOptions{Logger: o.Logger}.Log("etcd")
	b, err := open(ctx, client, o, &trouble{contact: address.NewContact(log)}) // nobody notes trouble in it
	if err != nil {
		return nil, err // b is a nil *backend, which would be no nil driver.Backend
	}
	return b, nil
}

// backend implements driver.Backend for one etcd cluster.
type backend struct {
	client     *clientv3.Client
	trouble    *trouble
	contact    *address.Contact
	disconnect func() error // nil if the client is the application's
	proxied    bool         // it leads to a proxy: see behindProxy
	patient    bool         // a member has all the time that there is: see oneMember
	namespace  string
	info       driver.Info
	batch      batch
	watchesOn  atomic.Int64 // the stream for new watches; see watchStream
	checkMost  atomic.Int64 // how many claims one request asks about
	roundTrip  atomic.Int64 // nanoseconds that the last new session's first request took

	mu       sync.Mutex
	sessions map[time.Duration]*opening // by TTL class
	claims   map[string]*claim          // by owner
	names    map[string]*claim          // by name on the server
	released claims.Tombstones[string]

	closing   context.Context // done when Close begins
	beginStop context.CancelFunc
	running   sync.WaitGroup // goroutines of sessions
	closeOnce sync.Once
	closeErr  error
}

var _ driver.Backend = (*backend)(nil)

var errClosed = errors.New("etcd: the backend is closed")

func open(ctx context.Context, client *clientv3.Client, opts Options, told *trouble) (*backend, error) {
	if opts.Namespace == "" {
		opts.Namespace = defaultNamespace
	}
	if why := checkNamespace(opts.Namespace); why != "" {
		return nil, fmt.Errorf("%w: namespace %q: %s", driver.ErrInvalid, opts.Namespace, why)
	}
	b := &backend{
		client:    client,
		trouble:   told,
		contact:   told.contact,
		patient:   len(client.Endpoints()) == 1 || client.Username != "",
		namespace: opts.Namespace,
		info: driver.Info{
			Name:      "etcd",
			Guarantee: driver.Linearizable,
			Features:  driver.Fair | driver.Push,
			Namespace: opts.Namespace,
			MinTTL:    time.Second,
			MaxTTL:    24 * time.Hour,
		},
		sessions: make(map[time.Duration]*opening),
		claims:   make(map[string]*claim),
		names:    make(map[string]*claim),
	}
	if client.Username != "" {
		b.info.Warnings = append(b.info.Warnings, "the client was made with a password and logs in by itself, inside the time of single requests: leases of a few seconds may be lost when a member restarts; open the backend by a URL")
	}
	b.closing, b.beginStop = context.WithCancel(context.Background())
	b.checkMost.Store(checkTogether)
	b.batch = batch{client: client, closing: b.closing, most: togetherMost}
	if err := b.checkServer(ctx); err != nil {
		b.beginStop()
		return nil, err
	}
	if b.proxied {
		b.patient = true
		b.info.Warnings = append(b.info.Warnings, fmt.Sprintf("the address is that of a proxy (etcd grpc-proxy), which keeps leases alive in its own time: leases are not shorter than %v, and the first lock of a TTL may take half a second; connect to the members", proxiedTTL))
	}
	b.contact.Reached()
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
		if b.disconnect != nil {
			b.closeErr = b.disconnect()
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
