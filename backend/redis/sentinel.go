package redis

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/backend/redis/internal/sentinel"
	"github.com/fencelock/fencelock/driver"
)

// bySentinels is the store of the server that Sentinels call the master: now one server, now another.
type bySentinels struct {
	*server
	watch   *sentinel.Watch
	conf    goredis.Options                                         // of connections to a server, without where they go
	explain func(ctx context.Context, addr string, err error) error // as in sentinel.Config
}

// masterOf makes the store of the master of which the Sentinels of c tell. conf is for connections to it.
func masterOf(conf goredis.Options, c sentinel.Config) func(b *backend) store {
	return func(b *backend) store {
		b.releases = new(releases)
		s := &bySentinels{conf: conf, explain: c.Explain}
		c.Warn = b.contact.Warn
		c.Moved = func(addr string) { s.node.Moved(addr) } // not before Start, and then s has a node
		s.watch = sentinel.New(b.closing, c)
		s.server = newServer(b.closing, &b.names, node.Config{Options: conf, Contact: b.contact, Place: s.watch, Patient: true})
		return s
	}
}

// retryMaster is for how long setUp asks again while there is no master to be had: the last one has failed, or the
// next one does not know yet that it is the master. It leaves some of openTimeout for what else there is to do.
const retryMaster = 4 * time.Second

func (s *bySentinels) setUp(ctx context.Context, b *backend, opts Options) error {
	warnings, err := s.watch.Start(ctx)
	if err != nil {
		return err
	}
	until := time.Now().Add(retryMaster)
	if deadline, ok := ctx.Deadline(); ok {
		until = earlier(until, deadline.Add(-time.Until(deadline)/5))
	}
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		addr, err := s.watch.Where(ctx)
		if err != nil {
			return node.Classify(ctx, err)
		}
		err = s.setUpMaster(ctx, b, opts)
		switch {
		case err == nil:
			b.info.Warnings = append(b.info.Warnings, warnings...)
			return nil
		case !errors.Is(err, driver.ErrUnavailable), ctx.Err() != nil, time.Now().Add(pause).After(until):
			if s.explain != nil {
				err = s.explain(ctx, addr, err)
			}
			return fmt.Errorf("%w (the master is %s, as the Sentinels say)", err, addr)
		}
		s.watch.Doubt(addr)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// setUpMaster is setUp for the server that is the master now.
func (s *bySentinels) setUpMaster(ctx context.Context, b *backend, opts Options) error {
	found, err := s.node.Look(ctx)
	if err != nil {
		return err
	}
	if found.Role() == "slave" {
		// It was the master, and has been told that another is, before this client was.
		return fmt.Errorf("%w: the server says that it is a replica", driver.ErrUnavailable)
	}
	if err := found.Usable(); err != nil {
		return err
	}
	clocks := make(chan []string, 1)
	go func() { clocks <- s.clockWarnings(ctx, slices.Sorted(maps.Keys(found.Replicas()))) }()
	err = s.ready(ctx, b, opts, found)
	far := <-clocks
	if err == nil {
		b.info.Warnings = append(append(b.info.Warnings, guardWarnings(found)...), far...)
	}
	return err
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func (s *bySentinels) close() {
	s.server.close()
	s.watch.Close()
}

// guardWarnings says what a master is not told that bounds how long it goes on by itself.
func guardWarnings(s node.Server) (w []string) {
	switch {
	case len(s.Replicas()) == 0:
		w = append(w, "the master has no replica that is connected, so that no other server can become the master")
	case !s.NeedsReplicas():
		w = append(w, "min-replicas-to-write is not set, so that a master that is cut off from its replicas goes on granting locks to "+
			"clients that still reach it and Sentinels; set it to 1 (it does not make a replica have what was granted)")
	}
	return w
}
