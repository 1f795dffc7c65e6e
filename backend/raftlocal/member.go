package raftlocal

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/client"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/dirlock"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/network"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/server"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/snapshot"
	"github.com/fencelock/fencelock/driver"
)

// refusedFor is for how long so many peers must refuse us that there can be no majority, until
// New gives up: longer than it takes until a process that has died is forgotten by them.
const refusedFor = 5 * time.Second

// openMember makes this process a member of a cluster, and a client of it.
func openMember(ctx context.Context, c Options) (*backend, *server.Server, error) {
	lock, s, err := startMember(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	var said error         // why it is not opened
	stop := func() error { //nolint:contextcheck // the same
		err := s.Stop(context.Background()) // bounded
		if errors.Is(said, err) {
			err = nil
		}
		return errors.Join(err, lock.Release())
	}
	members, err := networkOf(c)
	if err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	own := c.Peers[slices.IndexFunc(c.Peers, func(p Peer) bool { return p.Name == c.ID })].Addr
	conf := client.Config{
		Cluster: c.Cluster, Logger: c.Logger, Trouble: s.Trouble,
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			if addr == own {
				conn, err := s.Dial(ctx)
				if why := s.Err(); err != nil && why != nil {
					err = why
				}
				return conn, err
			}
			return members.Dial(ctx, addr)
		},
	}
	for _, p := range c.Peers {
		conf.Addrs = append(conf.Addrs, p.Addr)
	}
	b := newBackend(conf, c.Namespace, stop)
	b.warnings = c.warnings()
	if said = ready(ctx, b, s, c.Join); said != nil {
		return nil, nil, errors.Join(said, b.Close())
	}
	return b, s, nil
}

// startMember runs the member. ctx is for the opening, and the member outlives it.
func startMember(ctx context.Context, c Options) (lock *dirlock.Lock, s *server.Server, err error) {
	root, err := disk.Open(c.Dir)
	if err != nil {
		return nil, nil, err
	}
	if lock, err = dirlock.Take(root, dirlock.Owner{Cluster: c.Cluster, Member: c.ID}); err != nil {
		return nil, nil, err
	}
	if len(c.Peers) == 1 {
		err = lock.Settle(ctx)
	}
	if err == nil {
		s, err = serveMember(c, lock.Files()) //nolint:contextcheck // see above
	}
	if err != nil {
		return nil, nil, errors.Join(err, lock.Release())
	}
	return lock, s, nil
}

func serveMember(c Options, files disk.FS) (*server.Server, error) {
	used, err := snapshot.Exists(files)
	if err != nil {
		return nil, err
	}
	if !used && !c.Join {
		if err := checkInitialMembers(len(c.Peers)); err != nil {
			return nil, err
		}
	}
	own := c.Peers[slices.IndexFunc(c.Peers, func(p Peer) bool { return p.Name == c.ID })]
	conf := server.Config{
		Member:  member.Config{Name: c.ID, Cluster: c.Cluster, FS: files, Join: c.Join},
		Network: network.System(), Addr: own.Addr, Peers: named(c), Logger: c.Logger,
	}
	scheme := "http"
	if !c.Insecure {
		if conf.Secure, err = c.secure(); err != nil {
			return nil, err
		}
		conf.Network, scheme = network.Secured(conf.Network, conf.Secure), "https"
	}
	if conf.Listener, err = network.System().Listen(c.Listen); err != nil {
		return nil, err
	}
	var s *server.Server
	// It may be asked before Start has returned.
	started := make(chan struct{})
	conf.Operate = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-started
		operate(s, scheme).ServeHTTP(w, r)
	})
	s, err = server.Start(conf)
	close(started)
	return s, err
}

// ready waits until the cluster has a leader, both for us and for our member, and says why it
// has none.
func ready(outer context.Context, b *backend, s *server.Server, join bool) error {
	ctx, cancel := context.WithCancelCause(outer)
	defer cancel(nil)
	led := make(chan error, 1)
	go func() {
		err := s.When(ctx, inTouch(s, join))
		if err != nil {
			cancel(err)
		}
		led <- err
	}()
	err := b.client.Ready(ctx)
	if err != nil {
		cancel(err)
	}
	if own := <-led; err == nil {
		err = own
	}
	if err == nil {
		return nil
	}
	if errors.Is(err, server.ErrStopped) {
		<-s.Done() // soon: and then it is known why
		if gone := s.Err(); !errors.Is(gone, server.ErrStopped) {
			return gone // whatever has not been reached is not why
		}
	}
	// What the member knows says more than what its client has heard.
	why := s.Health()
	switch {
	case why == nil:
		return err
	case errors.Is(err, errUnwanted):
		return fmt.Errorf("%w: raft: %w: %w", driver.ErrRefused, errUnwanted, why)
	case errors.Is(err, driver.ErrRefused):
		return fmt.Errorf("%w: raft: %w", driver.ErrRefused, why)
	}
	if over := context.Cause(outer); over != nil {
		err = over
	}
	return fmt.Errorf("%w: raft: %w (%w)", driver.ErrUnavailable, why, err)
}

var errUnwanted = errors.New("so many members refuse this one that there can be no majority with it")

// inTouch is done when the member knows a leader, or waits to be added. It has an error when so
// many others have refused the member for a while that no majority can come together. Others
// that are not there yet may still come.
func inTouch(s *server.Server, join bool) func(*member.Member) (bool, error) {
	var since time.Time
	return func(m *member.Member) (bool, error) {
		if m.Leader().ID != 0 || join && len(m.Members()) == 0 {
			return true, nil
		}
		peers, refused := s.Peers(), 0
		for _, p := range peers {
			if p.Refused {
				refused++
			}
		}
		members := len(peers) + 1
		switch {
		case refused == 0 || members-refused > members/2:
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) > refusedFor:
			return false, errUnwanted
		}
		return false, nil
	}
}
