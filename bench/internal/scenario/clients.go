package scenario

import (
	"context"
	"fmt"
	"sync"

	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/work"
)

// atOnce is how many clients are opened or closed together. Where a server syncs its disk, most of that is waiting.
const atOnce = 64

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
	for range pairs {
		if err := work.Pair(ctx, client, key); err != nil {
			return err
		}
	}
	return nil
}

// openMany makes n clients, each with connections of its own.
func openMany(ctx context.Context, c contest.Contestant, o contest.Options, n int) ([]contest.Client, error) {
	clients := make([]contest.Client, n)
	err := inParallel(n, func(i int) (err error) {
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
	_ = inParallel(len(clients), func(i int) error {
		if clients[i] != nil {
			_ = clients[i].Close()
		}
		return nil
	})
}

// inParallel runs f(0) … f(n-1), atOnce at a time, and returns the first error.
func inParallel(n int, f func(i int) error) error {
	var (
		wg    sync.WaitGroup
		once  sync.Once
		first error
	)
	for g := range min(atOnce, n) {
		wg.Go(func() {
			for i := g; i < n; i += atOnce {
				if err := f(i); err != nil {
					once.Do(func() { first = err })
				}
			}
		})
	}
	wg.Wait()
	return first
}
