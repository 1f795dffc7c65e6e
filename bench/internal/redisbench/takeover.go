package redisbench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/scenario"
	"github.com/fencelock/fencelock/bench/internal/server"
)

// Names of the cases.
const (
	Killed = "a master killed"
	Paused = "a master paused"
)

// Servers are several of which one takes the place of another.
type Servers struct {
	All  *server.Server
	Bare contest.Contestant
	// Master is the one that a round loses, and tells which keys it has.
	Master func(ctx context.Context, round int) (addr string, has func(key string) bool, err error)
	// Well returns nil when none is missing, and each replica has all that its master has.
	Well func(ctx context.Context) error
}

// Takeovers lose a master in two ways: killed, so that its connections end; and paused, so that they do not, and nobody
// answers. Either way it is started again, and is a replica then: one that goes on where it was paused would say for some
// time what is not true any more, which is not the question here.
func (s Servers) Takeovers() []scenario.Takeover {
	one := func(name string, fail func(addr string) error) scenario.Takeover {
		return scenario.Takeover{Case: name, Bare: s.Bare, Victim: func(ctx context.Context, round int) (scenario.Victim, error) {
			addr, has, err := s.Master(ctx, round)
			return scenario.Victim{
				Has:  has,
				Fail: func() error { return fail(addr) },
				Mend: func(ctx context.Context) error { return s.mend(ctx, addr) },
			}, err
		}}
	}
	return []scenario.Takeover{
		one(Killed, func(addr string) error {
			_, err := s.All.Kill(addr)
			return err
		}),
		one(Paused, func(addr string) error {
			_, err := s.All.Suspend(addr)
			return err
		}),
	}
}

// mend kills the server if it is only paused, and starts it again. The port of one that is away may be the local one of
// somebody's connection for a moment.
func (s Servers) mend(ctx context.Context, addr string) error {
	restart, err := s.All.Kill(addr)
	if err != nil {
		return err
	}
	for range 3 {
		if err = restart(ctx); err == nil {
			return Await(ctx, s.Well)
		}
	}
	return err
}

// mendLimit is for servers to be as they should; a Sentinel looks at a replica every 10 s.
const mendLimit = 30 * time.Second

// Await asks again and again, until there is no error.
func Await(ctx context.Context, check func(ctx context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, mendLimit)
	defer cancel()
	for {
		err := check(limited)
		if err == nil {
			return nil
		}
		select {
		case <-limited.Done():
			return fmt.Errorf("not well after %s: %w", mendLimit, errors.Join(err, ctx.Err()))
		case <-time.After(50 * time.Millisecond):
		}
	}
}
