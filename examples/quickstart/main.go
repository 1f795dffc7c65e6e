// Command quickstart shows what a lock does, and what it cannot do without a
// fencing token.
//
// Four workers pay into one account. Each takes the lock, reads the balance,
// thinks for a while and writes the new balance. One of them is suspended between
// reading and writing, for longer than its lease lasts. The others go on without
// it. When it wakes up it writes what it had in mind, which would undo what they
// have paid. The account refuses that write, because the token that comes with it
// is older than one that it has seen.
//
//	go run ./examples/quickstart
//	FENCELOCK_URL=redis://localhost:6379 go run ./examples/quickstart
//	FENCELOCK_URL=etcd://localhost:2379 go run ./examples/quickstart
//	FENCELOCK_URL=zookeeper://localhost:2181 go run ./examples/quickstart
//
// It exits with 0 only if the late write was refused, no payment was lost, and no
// two leases were valid at the same time.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/etcd"      // etcd://, etcds://
	_ "github.com/fencelock/fencelock/backend/mem"       // mem://
	_ "github.com/fencelock/fencelock/backend/redis"     // redis://, rediss://, unix://
	_ "github.com/fencelock/fencelock/backend/zookeeper" // zookeeper://, zookeepers://
	"github.com/fencelock/fencelock/fencing"
)

const (
	key      = "accounts/7"
	ttl      = time.Second            // short, so that the wait for a dead holder is; a server may grant more
	thinking = 150 * time.Millisecond // between reading and writing
	opening  = 100                    // balance
	payment  = 10
)

var names = []string{"ada", "bob", "carol", "dave"}

const suspended = "bob"

func main() {
	url := cmp.Or(os.Getenv("FENCELOCK_URL"), "mem://")
	if err := run(context.Background(), url, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url string, out io.Writer) error {
	door, err := closeDoor(ctx, url)
	if err != nil {
		return err
	}
	defer door.client.Close()
	s := &scene{account: &account{balance: opening}, diary: newDiary(out), patience: 20*time.Second + 10*door.life}
	s.title(door.client.Info(), door.life)
	ctx, cancel := context.WithTimeout(ctx, s.patience) // it takes about two lives of a lease
	defer cancel()

	workers := make([]*worker, len(names))
	for i, name := range names {
		if workers[i], err = s.worker(ctx, name, url); err != nil {
			return err
		}
		defer workers[i].client.Close()
	}
	var (
		working sync.WaitGroup
		failed  = make([]error, len(names))
	)
	for i, w := range workers {
		working.Go(func() { failed[i] = w.pay(ctx) })
		err = errors.Join(err, door.awaitLine(ctx, i+1))
	}
	s.began = time.Now()
	err = errors.Join(err, door.open(ctx))
	working.Wait()
	if err := errors.Join(append(failed, err)...); err != nil {
		return err
	}
	return s.verdict()
}

// worker pays once. Each has a client, and so connections, of its own: for the lock
// server these are four processes.
type worker struct {
	name    string
	client  *fencelock.Client
	process *process // that it runs in; nil unless it is going to be suspended
	paid    bool
	*scene  // what the workers share
}

func (s *scene) worker(ctx context.Context, name, url string) (w *worker, err error) {
	w = &worker{name: name, scene: s}
	opts := &fencelock.Options{
		TTL:      ttl,
		Identity: name,
		Logger:   slog.New(slog.DiscardHandler), // the diary tells enough; leave it on in a service
	}
	if name == suspended {
		w.process = new(process)
		w.client, err = w.process.open(ctx, url, opts)
	} else {
		w.client, err = fencelock.Open(ctx, url, opts)
	}
	return w, err
}

// pay adds to the balance. It begins anew when its lease has ended before it wrote,
// or when the account refused the write: then somebody else has written meanwhile.
func (w *worker) pay(ctx context.Context) error {
	for {
		err := fencelock.Do(ctx, w.client, key, w.payUnderLock)
		switch {
		case w.paid:
			return nil // also if the lease had ended by then: the account took it
		case errors.Is(err, fencing.ErrStale):
			w.refusals.Add(1)
		case !errors.Is(err, fencelock.ErrLost):
			return err
		}
		w.say(w.name, "begins anew")
	}
}

// payUnderLock is the critical section. ctx ends when the lease does.
func (w *worker) payUnderLock(ctx context.Context, lease *fencelock.Lease) error {
	w.referee.granted(lease)
	balance := w.account.read()
	w.say(w.name, "has the lock, token %v, and reads a balance of %d", lease.Token(), balance)

	if w.process != nil && !w.process.wasSuspended {
		w.say(w.name, "IS SUSPENDED: it does nothing, and renews nothing")
		w.suspend(lease)
		w.say(w.name, "WAKES UP, believes that it has the lock, and writes %d", balance+payment)
	} else {
		select {
		case <-time.After(thinking):
		case <-ctx.Done(): // the lease has ended, or the whole thing takes too long
			return context.Cause(ctx)
		}
	}

	// The token goes with the write. Nothing else can stop a worker that does not
	// know that its lease has ended.
	err := w.account.write(balance+payment, lease.Token())
	if err != nil {
		w.say(w.name, "is refused: %v", err)
		w.say(w.name, "looks at its lease: %v", lease.Err())
		return err
	}
	w.paid = true
	w.say(w.name, "writes %d", balance+payment)
	return nil
}

// suspend stops the worker's process until another has written, and a little
// longer. How long that takes is the server's business: it lets the next one in when
// the lease has ended. The worker looks neither at its context nor at its lease: it
// cannot.
func (w *worker) suspend(lease *fencelock.Lease) {
	resume := w.process.suspend()
	for began := time.Now(); w.account.lastToken() <= lease.Token() && time.Since(began) < w.patience/2; {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(thinking / 2)
	resume()
}
