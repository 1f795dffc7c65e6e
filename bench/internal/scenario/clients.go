package scenario

import (
	"context"
	"fmt"

	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/work"
)

// openOne makes a client whose connections and scripts are in place.
func openOne(ctx context.Context, c contest.Contestant, o contest.Options) (contest.Client, error) {
	client, err := c.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := warm(ctx, client, fmt.Sprintf("bench/warm/%p", client)); err != nil {
		_ = client.Close()
		return nil, fmt.Errorf("warming up: %w", err)
	}
	return client, nil
}

func warm(ctx context.Context, client contest.Client, key string) error {
	const pairs = 3
	if worker, ok := client.(contest.Worker); ok {
		_, err := worker.Work(ctx, contest.Work{Key: key, Pairs: pairs})
		return err
	}
	for range pairs { // not measured: that stops the world, and many clients are opened at once
		if err := work.Pair(ctx, client, key); err != nil {
			return err
		}
	}
	return nil
}

// openMany makes n clients, each with connections of its own.
func openMany(ctx context.Context, c contest.Contestant, o contest.Options, n int) ([]contest.Client, error) {
	clients := make([]contest.Client, n)
	err := work.InParallel(n, func(i int) (err error) {
		clients[i], err = openOne(ctx, c, o)
		return err
	})
	if err != nil {
		closeAll(clients)
		return nil, err
	}
	return clients, nil
}

func closeAll(clients []contest.Client) {
	_ = work.InParallel(len(clients), func(i int) error {
		if clients[i] != nil {
			_ = clients[i].Close()
		}
		return nil
	})
}
