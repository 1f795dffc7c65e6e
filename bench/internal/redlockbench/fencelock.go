package redlockbench

import (
	"context"
	"errors"
	"strings"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/redis/redlock" // redlock://
	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/ours"
	"github.com/fencelock/fencelock/bench/internal/redisbench"
	"github.com/fencelock/fencelock/bench/internal/server"
	"github.com/fencelock/fencelock/bench/internal/wire"
)

func fenceLock(masters []string) contest.Contestant { return fenceLockWith(masters, "") }

func noToken(masters []string) contest.Contestant {
	c := fenceLockWith(masters, "&token=false")
	c.Name, c.Token = noTokenName, false
	return c
}

func fenceLockWith(masters []string, settings string) contest.Contestant {
	c := ours.Contestant("", "is told by a push, or asks", nil)
	c.Open = func(ctx context.Context, o contest.Options) (contest.Client, error) {
		addrs, relays, err := counted(ctx, masters, o)
		if err != nil {
			return nil, err
		}
		client, err := fencelock.Open(ctx, "redlock://"+strings.Join(addrs, ",")+"?namespace="+ours.Namespace+settings, ours.Options(o))
		if err != nil {
			_ = relays.Close()
			return nil, err
		}
		return &ours.Client{Client: client, Connections: relays}, nil
	}
	return c
}

// counted puts a relay before each master for a client that is counted, since a URL carries no dialer.
func counted(ctx context.Context, masters []string, o contest.Options) (addrs []string, all relays, err error) {
	if o.Dial == nil {
		return masters, nil, nil
	}
	for _, addr := range masters {
		r, err := wire.NewRelay(ctx, addr, o.Dial)
		if err != nil {
			_ = all.Close()
			return nil, nil, err
		}
		addrs, all = append(addrs, r.Addr), append(all, r)
	}
	return addrs, all, nil
}

type relays []*wire.Relay

func (all relays) Close() error {
	var errs []error
	for _, r := range all {
		errs = append(errs, r.Close())
	}
	return errors.Join(errs...)
}

// AddrVariable names the environment variable with the addresses of running masters, commas between.
const AddrVariable = "FENCELOCK_REDLOCK_ADDR"

// starter starts masters that keep nothing on disk, as redisbench does.
func starter(masters int) func(ctx context.Context, addr string) (*server.Server, error) {
	return func(ctx context.Context, addr string) (*server.Server, error) {
		if addr == "" {
			return redisbench.StartSeveral(ctx, masters)
		}
		return redisbench.UseSeveral(ctx, strings.Split(addr, ","))
	}
}
