// Command trylock runs a nightly job in one of three copies of a service: whichever
// comes first does it, and the others do not wait for it.
//
// A lock keeps two copies from running the job at the same time. It does not keep a
// copy whose clock is late from running it again afterwards. That is what the record
// of the day is for, which is looked at under the lock. Without such a record,
// fencelock.WithMinHold keeps the lock taken for as long as clocks may differ.
//
//	go run ./examples/trylock
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/etcd"
	_ "github.com/fencelock/fencelock/backend/mem"
	_ "github.com/fencelock/fencelock/backend/raftlocal"
	_ "github.com/fencelock/fencelock/backend/redis"
	_ "github.com/fencelock/fencelock/backend/redis/redlock"
	_ "github.com/fencelock/fencelock/backend/zookeeper"
)

func main() {
	url := cmp.Or(os.Getenv("FENCELOCK_URL"), "mem://")
	if err := run(context.Background(), url, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "trylock:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url string, out io.Writer) error {
	locker, err := fencelock.Open(ctx, url, nil)
	if err != nil {
		return err
	}
	defer locker.Close()

	r := &record{out: out}
	failed := make([]error, 3)
	var copies sync.WaitGroup
	for i := range failed {
		copies.Go(func() { failed[i] = r.nightly(ctx, locker, i+1) })
	}
	copies.Wait()
	// One more, whose clock is late.
	return errors.Join(errors.Join(failed...), r.nightly(ctx, locker, 4))
}

// record stands for a table in a database.
type record struct {
	mu   sync.Mutex
	out  io.Writer
	done bool
}

func (r *record) nightly(ctx context.Context, locker fencelock.Locker, n int) error {
	lease, err := locker.TryLock(ctx, "jobs/nightly")
	if errors.Is(err, fencelock.ErrHeld) {
		r.say("copy %d: another does it", n)
		return nil
	}
	if err != nil {
		return err
	}
	defer lease.Unlock(ctx)

	if r.isDone() {
		r.say("copy %d: it has been done", n)
		return nil
	}
	if err := r.job(lease.Context(ctx)); err != nil {
		return fmt.Errorf("copy %d: the job is not done: %w", n, err)
	}
	r.say("copy %d: the job is done", n)
	return nil
}

// job stops when ctx does, and so before another copy can get the lock.
func (r *record) job(ctx context.Context) error {
	select {
	case <-time.After(200 * time.Millisecond):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done = true
	return nil
}

func (r *record) isDone() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.done
}

func (r *record) say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.out, format+"\n", args...)
}
