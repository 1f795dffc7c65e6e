package raftlocal

import (
	"context"
	"net/http"
	"net/url"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/client"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/server"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/shared"
	"github.com/fencelock/fencelock/driver"
)

func init() {
	for _, scheme := range []string{"raft", "raftmem"} {
		fencelock.Register(scheme, Open)
	}
}

// Open does what u says; see the package comment for the form of the URL. It is what
// fencelock.Open calls.
func Open(ctx context.Context, u *url.URL) (driver.Backend, error) {
	c, err := ParseURL(u)
	if err != nil {
		return nil, err
	}
	return New(ctx, c)
}

// New makes a backend of a Config, without a URL. It returns when there is a leader that takes
// commands: the members of a new cluster wait until all of them have been there. When ctx ends
// first, the error says who was not reached, and why. A member that can never be of the cluster, as
// one that has lost its directory, is an error at once.
//
// Where this process serves a directory, or is a member, it does so until Close, which hands
// over to others first: within a second or two. A process that ends without Close loses nothing
// either, but others take a little longer to notice.
func New(ctx context.Context, c Config) (driver.Backend, error) {
	c, err := c.check()
	if err != nil {
		return nil, err
	}
	var b *backend
	switch {
	case c.ID != "":
		b, _, err = openMember(ctx, c)
	case len(c.Hosts) > 0:
		b, err = openClient(ctx, c)
	default:
		b, _, err = openShared(ctx, c)
	}
	if err != nil {
		return nil, err // b is a nil *backend, which would be no nil driver.Backend
	}
	return b, nil
}

// openShared takes part in a place that processes share.
func openShared(ctx context.Context, c Config) (*backend, *shared.Share, error) {
	place := shared.Memory
	if c.Dir != "" {
		place = shared.Directory
	}
	p, err := place(c.Dir + c.Memory) // one of them is empty
	if err != nil {
		return nil, nil, err
	}
	operators := func(s *server.Server) http.Handler { return operate(s, "http") }
	share, err := shared.Open(ctx, p, operators, c.Logger)
	if err != nil {
		return nil, nil, err
	}
	b := newBackend(client.Config{
		Addrs: []string{shared.Member}, Dial: share.Dial, Cluster: shared.Cluster, Trouble: share.Trouble, Logger: c.Logger,
	}, c.Namespace, func() error { share.Close(); return nil })
	if err := b.client.Ready(ctx); err != nil {
		_ = b.Close() // says nothing that matters after err
		return nil, nil, err
	}
	return b, share, nil
}

// openClient finds a cluster.
func openClient(ctx context.Context, c Config) (*backend, error) {
	network, err := networkOf(c)
	if err != nil {
		return nil, err
	}
	b := newBackend(client.Config{Addrs: c.Hosts, Dial: network.Dial, Cluster: c.Cluster, Logger: c.Logger}, c.Namespace)
	if err := b.client.Ready(ctx); err != nil {
		_ = b.Close() // says nothing that matters after err
		return nil, err
	}
	return b, nil
}
