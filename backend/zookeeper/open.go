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

// config is what a backend is made of.
type config struct {
	hosts     []string
	tls       *address.Certificates // nil: none
	auth      []byte                // user:password; nil: none
	chroot    string
	namespace string
	acl       []zk.ACL
	log       *slog.Logger
	connect   func(servers []string, timeout time.Duration, s *session) (conn, <-chan zk.Event, error)
}

// Open connects to the servers that u names, and returns when one of them has granted a session;
// see the package comment for the form of the URL. fencelock.Open calls it. It fails within 5 s,
// and says why.
func Open(ctx context.Context, u *url.URL, o driver.OpenOptions) (driver.Backend, error) {
	conf, err := parseURL(u, o.Log("zookeeper"))
	if err != nil {
		return nil, err
	}
	return open(ctx, conf)
}

// New does the same with what the application has in its code, and not in a URL. Servers are
// host:port, or host if the port is 2181. opts may be nil. The backend makes its own connections.
func New(ctx context.Context, servers []string, opts *Options) (driver.Backend, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	conf, err := o.config(servers)
	if err != nil {
		return nil, err
	}
	return open(ctx, conf)
}

func open(ctx context.Context, conf config) (driver.Backend, error) {
	scheme := "zookeeper"
	if conf.tls != nil {
		scheme = "zookeepers"
	}
	servers := make([]address.Server, len(conf.hosts))
	for i, addr := range conf.hosts {
		servers[i] = address.Server{Network: "tcp", Addr: addr, Certificates: conf.tls}
	}
	ctx, w := address.NewWatch(ctx, scheme, servers...)
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

// probeTimeout bounds Open and New.
const probeTimeout = 5 * time.Second

var errNotOpened = unavailable("no answer within 5s")

// probe asks for a session that is longer than any server grants. The answer tells the longest
// there is. probe makes the namespace's node in that session, and then ends it.
func (b *backend) probe(ctx context.Context) error {
	const class = -1 // no TTL's
	b.mu.Lock()
	s, err := b.connectLocked(class, math.MaxInt32*time.Millisecond)
	if err != nil {
		b.mu.Unlock()
		return err
	}
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
