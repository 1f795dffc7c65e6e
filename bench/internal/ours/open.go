package ours

import (
	"context"
	"strings"

	"github.com/fencelock/fencelock"

	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/wire"
)

// open opens the URL of the server at addr. A URL carries no dialer, so a client that is counted goes through a relay, to the
// first of several servers.
func open(ctx context.Context, addr string, url func(addr string) string, o contest.Options) (contest.Client, error) {
	if o.Dial == nil {
		c, err := fencelock.Open(ctx, url(addr), Options(o))
		if err != nil {
			return nil, err
		}
		return &Client{Client: c}, nil
	}
	first, _, _ := strings.Cut(addr, ",")
	relay, err := wire.NewRelay(ctx, first, o.Dial)
	if err != nil {
		return nil, err
	}
	c, err := fencelock.Open(ctx, url(relay.Addr), Options(o))
	if err != nil {
		_ = relay.Close()
		return nil, err
	}
	return &Client{Client: c, Connections: relay}, nil
}
