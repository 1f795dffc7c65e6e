// Command worker is fencelock in a process of its own: it works for the bench, by lines of JSON. It is built
// beside the fencelock of another commit, too, so it needs only what fencelock has promised for long, and two
// small packages of the bench.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/etcd"      // etcd://
	_ "github.com/fencelock/fencelock/backend/redis"     // redis://
	_ "github.com/fencelock/fencelock/backend/zookeeper" // zookeeper://
	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/work"
)

func main() {
	if err := work.Serve(context.Background(), os.Stdin, os.Stdout, open); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

func open(ctx context.Context, o work.Open) (contest.Client, error) {
	c, err := fencelock.Open(ctx, o.URL, &fencelock.Options{TTL: o.TTL, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	return client{c}, nil
}

type client struct{ *fencelock.Client }

func (c client) Lock(ctx context.Context, key string) (contest.Held, error) {
	lease, err := c.Client.Lock(ctx, key)
	if err != nil {
		return nil, err
	}
	return held{lease}, nil
}

type held struct{ *fencelock.Lease }

func (h held) Release(ctx context.Context) error { return h.Unlock(ctx) }
