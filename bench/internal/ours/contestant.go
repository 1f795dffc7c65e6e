package ours

import (
	"context"

	"github.com/fencelock/fencelock/bench/internal/contest"
)

// Contestant is fencelock on the server at addr, opened by the URL that url makes of an address.
func Contestant(addr, waits string, url func(addr string) string) contest.Contestant {
	return contest.Contestant{
		Name:   Name,
		Token:  true,
		Renews: true,
		Waits:  waits,
		Open: func(ctx context.Context, o contest.Options) (contest.Client, error) {
			return open(ctx, addr, url, o)
		},
	}
}
