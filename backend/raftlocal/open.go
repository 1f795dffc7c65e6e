package raftlocal

import (
	"context"
	"net/http"
	"net/url"
	"time"

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
func Open(ctx context.Context, u *url.URL, o driver.OpenOptions) (driver.Backend, error) {
	c, err := parseURL(u, o.Log("raft"))
	if err != nil {
		return nil, err
	}
	return New(ctx, &c)
}

// New makes a backend of Options, without a URL. It returns when there is a leader that takes
// commands. A client, or a user of a directory, waits less than 5 s for it. The members of a
// new cluster wait until all of them have been there, or ctx ends. Errors say what came of asking each
// member. They wrap
//
//   - driver.ErrUnavailable where asking again may help: nobody was reached, or nobody leads, or the directory
//     or the address is in use,
//   - driver.ErrRefused where it does not until somebody changes something: certificates, another
//     cluster, a directory that was removed from the cluster, lost, or damaged,
//   - fencelock.ErrInvalid for what is wrong in the Options, and for a Dir that is a file, cannot be made, or may be
//     written to by others.
//
// Where this process serves a directory, or is a member, it does so until Close, which lets
// others take over first: within a second or two. A process that ends without Close loses nothing
// either, but others take a little longer to notice.
func New(ctx context.Context, o *Options) (driver.Backend, error) {
	c, err := o.value().check()
	if err != nil {
		return nil, err
	}
	c.Logger = server.Logger(c.Logger)
	var b *backend
	switch {
	case c.ID != "":
		b, _, err = openMember(ctx, c)
	case len(c.Hosts) > 0 || c.Socket != "":
		b, err = openClient(ctx, c)
	default:
		b, _, err = openShared(ctx, c)
	}
	if err != nil {
		return nil, classified(err) // b is a nil *backend, which would be no nil driver.Backend
	}
	return b, nil
}

// guestTimeout is how long a request waits for somebody who serves, in a process that never does so itself:
// longer than a take-over, and than it takes to begin a new directory.
const guestTimeout = 3 * time.Second

// openShared takes part in a place that processes share.
func openShared(ctx context.Context, c Options) (*backend, *shared.Share, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, openWithin, errOpening)
	defer cancel()
	p, err := c.location()
	if err != nil {
		return nil, nil, err
	}
	operators := func(s *server.Server) http.Handler { return operate(s, "http") }
	share, err := shared.Open(ctx, p, operators, c.Logger)
	if err != nil {
		return nil, nil, err
	}
	conf := client.Config{
		Addrs: []string{c.Dir + c.Memory}, Dial: share.Dial, Cluster: shared.Cluster, Trouble: share.Trouble, Logger: c.Logger,
	}
	if share.Guest() {
		conf.LeaderTimeout = guestTimeout
	}
	b := newBackend(conf, c.Namespace, func() error { share.Close(); return nil })
	if err := b.client.Ready(ctx); err != nil {
		_ = b.Close() // says nothing that matters after err
		return nil, nil, served(c.Dir, err)
	}
	return b, share, nil
}

// openClient finds a cluster, or who serves at a socket.
func openClient(ctx context.Context, c Options) (*backend, error) {
	conf := client.Config{
		Addrs: []string{c.Socket}, Dial: shared.DialSocket, Cluster: shared.Cluster,
		AwayAfter: awayAfter, LeaderTimeout: guestTimeout, Logger: c.Logger,
	}
	if c.Socket == "" {
		network, err := networkOf(c)
		if err != nil {
			return nil, err
		}
		conf.Addrs, conf.Dial, conf.Cluster, conf.LeaderTimeout = c.Hosts, network.Dial, c.Cluster, 0
	}
	ctx, cancel := context.WithTimeoutCause(ctx, openWithin, errOpening)
	defer cancel()
	b := newBackend(conf, c.Namespace)
	b.warnings = c.warnings()
	if err := b.client.Ready(ctx); err != nil {
		_ = b.Close() // says nothing that matters after err
		return nil, err
	}
	return b, nil
}
