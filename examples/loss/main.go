// Command loss shows how work learns that its lock is gone: the context that it was
// given ends, and says why. An operator evicts the lock while the work is under way.
//
//	go run ./examples/loss
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/etcd"
	_ "github.com/fencelock/fencelock/backend/mem"
	_ "github.com/fencelock/fencelock/backend/raftlocal"
	_ "github.com/fencelock/fencelock/backend/redis"
	_ "github.com/fencelock/fencelock/backend/redis/redlock"
	_ "github.com/fencelock/fencelock/backend/zookeeper"
)

const key = "reports/2026-11"

func main() {
	url := cmp.Or(os.Getenv("FENCELOCK_URL"), "mem://")
	if err := run(context.Background(), url, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "loss:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url string, out io.Writer) error {
	opts := &fencelock.Options{Identity: "the report writer", Logger: slog.New(slog.DiscardHandler)}
	locker, err := fencelock.Open(ctx, url, opts)
	if err != nil {
		return err
	}
	defer locker.Close()

	err = fencelock.Do(ctx, locker, key, func(work context.Context, _ *fencelock.Lease) error {
		status, err := locker.Inspect(ctx, key)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s has the lock\n", status.Holders[0].Identity)
		// As an operator would: not under the lease's context, which may end before the
		// answer to this arrives.
		if _, err := locker.Evict(ctx, key, ""); err != nil {
			return err
		}
		for work.Err() == nil { // before each page: Err looks at the clock, Done cannot
			select {
			case <-time.After(20 * time.Millisecond): // a page is written
			case <-work.Done():
			}
		}
		fmt.Fprintln(out, "the work stops:", context.Cause(work))
		return context.Cause(work)
	})
	if !errors.Is(err, fencelock.ErrLost) {
		return fmt.Errorf("%w, want one that matches ErrLost", err)
	}
	fmt.Fprintln(out, "Do returned an error that matches ErrLost")
	return nil
}
