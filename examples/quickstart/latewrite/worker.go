package latewrite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/fencing"
)

// The environment of a worker's process.
const (
	urlVariable  = "FENCELOCK_URL"
	nameVariable = "LATEWRITE_WORKER"
	bankVariable = "LATEWRITE_BANK"
)

// worker pays once.
type worker struct {
	name   string
	locker *fencelock.Client
	bank   bankClient
	stage  reporter
	goOn   <-chan struct{} // a worker that is going to be suspended goes on when it is told to
	paid   bool
}

// work is the whole life of a worker's process.
func work(ctx context.Context, name string) (err error) {
	w := &worker{name: name, bank: bankClient{os.Getenv(bankVariable) + balancePath}, stage: reporter{name, os.Getenv(bankVariable) + reportPath}, goOn: listen(os.Stdin)}
	w.locker, err = fencelock.Open(ctx, os.Getenv(urlVariable), &fencelock.Options{
		TTL:      ttl,
		Identity: name,
		Logger:   slog.New(slog.DiscardHandler), // the stage tells enough; leave it on in a service
	})
	if err != nil {
		return err
	}
	defer w.locker.Close()
	return w.pay(ctx)
}

// pay adds to the balance. It starts again when its lease has ended before it wrote,
// or when the account refused the write: then somebody else has written meanwhile.
func (w *worker) pay(ctx context.Context) error {
	for {
		err := fencelock.Do(ctx, w.locker, key, w.payUnderLock)
		switch {
		case w.paid:
			return nil // also if the lease had ended by then: the account took it
		case !errors.Is(err, fencing.ErrStale) && !errors.Is(err, fencelock.ErrLost):
			return err
		}
		w.stage.say("starts again")
	}
}

// payUnderLock is the critical section. ctx ends when the lease does.
func (w *worker) payUnderLock(ctx context.Context, lease *fencelock.Lease) error {
	w.stage.granted(lease)
	defer w.stage.released(lease)
	balance, err := w.bank.read(ctx)
	if err != nil {
		return err
	}
	w.stage.say("has the lock, token %v, and reads a balance of %d", lease.Token(), balance)

	if w.goOn != nil && w.stage.suspends() { // which it does not notice
		<-w.goOn
		w.goOn = nil
		ctx = context.WithoutCancel(ctx) // nor does it look at its lease
		w.stage.say("WAKES UP, believes that it has the lock, and writes %d", balance+payment)
	} else {
		select {
		case <-time.After(thinking):
		case <-ctx.Done(): // the lease has ended
		}
		// After a wait ask Err, which looks at the clock: Done may be late.
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}

	// The token goes with the write. Nothing else can stop a worker that does not
	// know that its lease has ended.
	if err := w.bank.write(ctx, balance+payment, lease.Token()); err != nil {
		w.stage.say("is refused: %v", err)
		w.stage.say("looks at its lease: %v", lease.Err())
		return err
	}
	w.paid = true
	w.stage.say("writes %d", balance+payment)
	return nil
}

// listen tells when there is a line to read. When there is no more, the process that has
// started this one is gone, and this one ends, too.
func listen(in io.Reader) <-chan struct{} {
	lines := make(chan struct{})
	go func() {
		for scanner := bufio.NewScanner(in); scanner.Scan(); {
			lines <- struct{}{}
		}
		fmt.Fprintln(os.Stderr, "latewrite: nobody is there any more")
		os.Exit(1)
	}()
	return lines
}
