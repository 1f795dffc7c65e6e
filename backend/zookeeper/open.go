package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/zookeeper/internal/session"
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
	connect   session.Connect // nil: go-zookeeper's
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
	bounded, cancel := context.WithTimeoutCause(ctx, session.ProbeTimeout, errNotOpened)
	defer cancel()
	if err := w.End(b.probe(bounded)); err != nil {
		_ = b.Close() // says nothing that matters after err
		return nil, err
	}
	b.contact.Reached()
	return b, nil
}

var errNotOpened = session.Unavailable("no answer within 5s")

// probe learns the longest TTL that the server admits, and makes the namespace's node.
func (b *backend) probe(ctx context.Context) error {
	s, err := b.pool.Probe(ctx)
	if err != nil {
		return err
	}
	defer s.Retire()
	if b.info.MaxTTL, err = s.Longest(); err == nil {
		err = s.Await(ctx, s.Start(func() error { return makePath(s, b.root, b.acl) }), makeTimeout)
	}
	if errors.Is(err, zk.ErrNoAuth) {
		err = fmt.Errorf("making the node %s: %w; let an administrator make it, or allow it by ACL: create in the node above, "+
			"create, read, write and delete in it", b.root, err)
	}
	return session.Classify(ctx, err)
}

// makeTimeout bounds how long the namespace's node may take.
const makeTimeout = 3 * time.Second
