package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/address"
	"github.com/fencelock/fencelock/driver/claims"
)

func init() {
	for _, scheme := range []string{"zookeeper", "zookeepers"} {
		fencelock.Register(scheme, Open)
	}
}

// Options configure a backend made by [New].
type Options struct {
	// Namespace is the name of the node under which all locks are: 1 to 64 letters,
	// digits and . _ : - characters. "fencelock" if empty. Clients that are to exclude
	// each other have the same.
	Namespace string

	// Chroot is the path of the node above that, like "/apps/billing". "" is the root.
	Chroot string

	// ACL is what each node gets; all rights for everybody if nil.
	ACL []zk.ACL

	// SessionTimeout is that of the connection, as the server has set it, which
	// go-zookeeper does not tell. It must not be more than that.
	SessionTimeout time.Duration

	// Logger gets what an operator should know and no call returns: that a session has expired.
	// slog.Default() if nil. Of its connections the application learns from go-zookeeper.
	Logger *slog.Logger
}

// config is what a backend was made with.
type config struct {
	hosts   []string
	tls     *address.Certificates
	auth    []byte // user:password; nil: none
	chroot  string
	space   string // the namespace
	acl     []zk.ACL
	timeout time.Duration // of an application's connection
	log     *slog.Logger
}

// Open connects to the servers that u names; see the package comment for the form of
// the URL. It is what fencelock.Open calls.
func Open(ctx context.Context, u *url.URL, o driver.OpenOptions) (driver.Backend, error) {
	conf, err := parseURL(u, o.Log("zookeeper"))
	if err != nil {
		return nil, err
	}
	servers := make([]address.Server, len(conf.hosts))
	for i, addr := range conf.hosts {
		servers[i] = address.Server{Network: "tcp", Addr: addr, Certificates: conf.tls}
	}
	ctx, w := address.NewWatch(ctx, u.Scheme, servers...)
	b := newBackend(conf)
	bounded, cancel := context.WithTimeoutCause(ctx, probeTimeout, errNotOpened)
	defer cancel()
	if err := w.End(b.probe(bounded)); err != nil {
		_ = b.Close() // says nothing that matters after err
		return nil, err
	}
	b.contact.Reached()
	return b, nil
}

// probeTimeout bounds Open.
const probeTimeout = 5 * time.Second

var errNotOpened = unavailable("no answer within 5s")

// New makes a backend of a connection that the application has, with the session that
// it has. It serves TTLs of up to a second less than the session's timeout. A program
// that dies, or is cut off, keeps its locks for as long as the session takes to expire,
// whatever their TTLs. Close leaves the connection open; so it does not end calls of
// go-zookeeper that wait for a server, and leaves a goroutine for each until they end.
//
// Such a connection does not tell us its events. Each lock that is held for longer than
// a moment, and each that is waited for, costs a goroutine, and each renewal a request
// for each lock.
func New(ctx context.Context, conn *zk.Conn, opts *Options) (driver.Backend, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Namespace == "" {
		o.Namespace = defaultNamespace
	}
	if why := checkNamespace(o.Namespace); why != "" {
		return nil, address.Invalid("namespace %q: %s", o.Namespace, why)
	}
	if why := checkChroot(o.Chroot); why != "" {
		return nil, address.Invalid("chroot %q: %s", o.Chroot, why)
	}
	if o.SessionTimeout < minTTL+relayLag {
		return nil, address.Invalid("SessionTimeout is %v: want what the server has set, %v at least", o.SessionTimeout, minTTL+relayLag)
	}
	if o.ACL == nil {
		o.ACL = zk.WorldACL(zk.PermAll)
	}
	if conn == nil {
		return nil, address.Invalid("the connection is nil")
	}
	b := newBackend(config{
		chroot: o.Chroot, space: o.Namespace, acl: o.ACL, timeout: o.SessionTimeout,
		log: driver.OpenOptions{Logger: o.Logger}.Log("zookeeper"),
	})
	b.app = conn
	b.info.MaxTTL = min((o.SessionTimeout - relayLag).Truncate(time.Millisecond), maxTTL)
	s, err := b.sessionFor(ctx, minTTL)
	if err == nil {
		err = b.makeRoot(ctx, s)
	}
	if err != nil {
		return nil, errors.Join(fault(ctx, err), b.Close())
	}
	b.contact.Reached()
	return b, nil
}

// backend implements driver.Backend for one ensemble.
type backend struct {
	config config
	root   string // the namespace's node
	info   driver.Info
	app    conn        // the application's connection; nil: we make our own
	plain  atomic.Bool // the server knows no containers

	unwritable  atomic.Bool // we may not write to the locks' nodes
	undeletable atomic.Bool // nor delete them
	parents     *parents
	standing    *standing
	contact     *address.Contact

	closing context.Context // done when Close begins
	stop    func()
	running sync.WaitGroup // tasks and sessions

	mu       sync.Mutex
	closed   bool
	sessions map[time.Duration]*session // by class
	claims   map[claimID]*claim
	released claims.Tombstones[claimID]
}

var _ driver.Backend = (*backend)(nil)

func newBackend(conf config) *backend {
	b := &backend{
		config:   conf,
		root:     conf.chroot + "/" + conf.space,
		sessions: make(map[time.Duration]*session),
		claims:   make(map[claimID]*claim),
		info: driver.Info{
			Name:      "zookeeper",
			Guarantee: driver.Linearizable,
			Features:  driver.Fair | driver.Push,
			Namespace: conf.space,
			MinTTL:    minTTL,
		},
	}
	b.standing = newStanding()
	b.contact = address.NewContact(conf.log)
	b.parents = newParents(func() { b.start(b.sweepParents) })
	closing, stop := context.WithCancelCause(context.Background())
	b.closing, b.stop = closing, func() { stop(errClosed) }
	return b
}

// probe asks for a session that is longer than any server grants, which tells the
// longest there is, and makes the namespace's node. The session ends with that.
func (b *backend) probe(ctx context.Context) error {
	const class = -1 // no TTL's
	b.mu.Lock()
	s, err := b.connectLocked(class, math.MaxInt32*time.Millisecond)
	if err != nil {
		b.mu.Unlock()
		return fmt.Errorf("%w: %w", errNoSession, err)
	}
	b.sessions[class] = s
	b.running.Go(s.live)
	b.mu.Unlock()

	if err := s.firstContact(ctx); err != nil {
		return err
	}
	if err = s.failure; err == nil {
		b.info.MaxTTL = longestClass(s.link.timeout())
		if b.info.MaxTTL < minTTL {
			err = fmt.Errorf("%w: the server's longest session is %v; set maxSessionTimeout to %v at least",
				driver.ErrUnsupported, s.link.timeout(), minTTL+relayLag)
		}
	}
	if err == nil {
		err = b.makeRoot(ctx, s)
	}
	s.retire()
	return fault(ctx, err)
}

// makeRoot makes the namespace's node, with those above it.
func (b *backend) makeRoot(ctx context.Context, s *session) error {
	err := s.await(ctx, b.start(func() error { return makePath(s.conn, b.root, b.config.acl) }), openTimeout)
	if errors.Is(err, zk.ErrNoAuth) {
		return fmt.Errorf("making the node %s: %w; let an administrator make it, or allow it by ACL: create in the node above, "+
			"create, read, write and delete in it", b.root, err)
	}
	return err
}

func (b *backend) Info() driver.Info { return b.info }

// closeTimeout bounds how long Close waits for what it has ended: calls of an application's
// connection that has no server. All else ends sooner, see session.close.
const closeTimeout = time.Second

// Close ends calls under way and the connections; it releases no grant.
func (b *backend) Close() error {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.stop()
	b.parents.stop()
	ended := make(chan struct{})
	go func() {
		b.running.Wait()
		close(ended)
	}()
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	}
	return nil
}
