package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/address"
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
	// each other have the same namespace.
	Namespace string

	// Chroot is the path of the node above that, like "/apps/billing". "" is the root.
	Chroot string

	// ACL is what each node gets; all rights for everybody if nil.
	ACL []zk.ACL

	// SessionTimeout is the timeout of the connection's session, as the server has set it. It must
	// not be more than that. go-zookeeper does not tell it.
	SessionTimeout time.Duration

	// Logger gets what an operator should know and no call returns: that a session has expired.
	// slog.Default() if nil. go-zookeeper tells the application of its connections.
	Logger *slog.Logger
}

// config is what a backend is made of.
type config struct {
	hosts     []string
	tls       *address.Certificates
	auth      []byte // user:password; nil: none
	chroot    string
	namespace string
	acl       []zk.ACL
	timeout   time.Duration // of an application's connection
	log       *slog.Logger
}

// Open connects to the servers that u names, and returns when one of them has granted a session;
// see the package comment for the form of the URL. fencelock.Open calls it. It fails within 5 s,
// and says why.
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

// New makes a backend of a connection that the application has, with the session that it has.
// TTLs are up to a second less than the session's timeout. If the program dies, or is cut off, it
// keeps its locks until the session expires, whatever their TTLs. Close leaves the connection
// open. So it does not end calls of go-zookeeper that wait for a server, and leaves a goroutine
// for each until they end.
//
// Such a connection does not tell the backend its events. Each lock that is held for longer than
// a moment, and each that is waited for, costs a goroutine, and each renewal costs a request for
// each lock.
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
		chroot: o.Chroot, namespace: o.Namespace, acl: o.ACL, timeout: o.SessionTimeout,
		log: driver.OpenOptions{Logger: o.Logger}.Log("zookeeper"),
	})
	b.app = conn
	b.info.MaxTTL = min((o.SessionTimeout - relayLag).Truncate(time.Millisecond), maxTTL)
	s, err := b.sessionFor(ctx, minTTL)
	if err == nil {
		err = b.makeRoot(ctx, s)
	}
	if err != nil {
		return nil, errors.Join(classify(ctx, err), b.Close())
	}
	b.contact.Reached()
	return b, nil
}

// probe asks for a session that is longer than any server grants. The answer tells the longest
// there is. probe makes the namespace's node in that session, and then ends it.
func (b *backend) probe(ctx context.Context) error {
	const class = -1 // no TTL's
	b.mu.Lock()
	s, err := b.connectLocked(class, math.MaxInt32*time.Millisecond)
	if err != nil {
		b.mu.Unlock()
		return fmt.Errorf("%w: %w", errNoSession, err)
	}
	b.sessions[class] = s
	b.running.Go(s.run)
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
	return classify(ctx, err)
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
