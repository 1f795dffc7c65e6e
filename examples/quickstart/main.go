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
	_ "github.com/fencelock/fencelock/backend/mem"   // mem://
	_ "github.com/fencelock/fencelock/backend/redis" // redis://, rediss://, unix://
	"github.com/fencelock/fencelock/fencing"
)

const (
	key      = "accounts/7"
	ttl      = time.Second            // short, so that the wait for a dead holder is
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
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second) // it takes about two
	defer cancel()
	s := &scene{account: &account{balance: opening}, diary: newDiary(out)}

	var (
		working sync.WaitGroup
		failed  = make([]error, len(names))
	)
	for i, name := range names {
		w, err := s.worker(ctx, name, url)
		if err != nil {
			return err
		}
		defer w.client.Close()
		if i == 0 {
			s.title(w.client.Info())
		}
		working.Go(func() {
			time.Sleep(time.Duration(i) * thinking / 3) // they get in line in this order
			failed[i] = w.pay(ctx)
		})
	}
	working.Wait()
	if err := errors.Join(failed...); err != nil {
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
		w.say(w.name, "IS SUSPENDED: it does nothing, and nothing leaves its process")
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
// longer. The worker looks neither at its context nor at its lease: it cannot.
func (w *worker) suspend(lease *fencelock.Lease) {
	resume := w.process.suspend()
	for began := time.Now(); w.account.lastToken() <= lease.Token() && time.Since(began) < 10*ttl; {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(thinking / 2)
	resume()
}
