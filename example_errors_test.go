package fencelock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
)

// Each kind of error means one thing on every backend. A context's error comes with the
// reason why the wait took so long.
func ExampleError() {
	locker, err := fencelock.New(mem.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()

	say := func(err error) {
		switch {
		case err == nil:
			fmt.Println("it is ours")
		case errors.Is(err, fencelock.ErrHeld):
			fmt.Println("busy: try later; a context ended:", errors.Is(err, context.DeadlineExceeded))
		case errors.Is(err, fencelock.ErrUnavailable):
			fmt.Println("the lock server is away: alert, and try later")
		case errors.Is(err, fencelock.ErrRefused):
			fmt.Println("the server says no: look at its permissions")
		case errors.Is(err, fencelock.ErrInvalid), errors.Is(err, fencelock.ErrUnsupported):
			fmt.Println("a mistake in this program:", err)
		default:
			fmt.Println(err)
		}
	}
	_, err = locker.Lock(context.Background(), "invoices/42")
	say(err)
	_, err = locker.TryLock(context.Background(), "invoices/42")
	say(err)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err = locker.Lock(ctx, "invoices/42")
	say(err)
	_, err = locker.Lock(context.Background(), "")
	say(err)
	// Output:
	// it is ours
	// busy: try later; a context ended: false
	// busy: try later; a context ended: true
	// a mistake in this program: fencelock: lock (mem): invalid: the key is empty; name what is locked, such as "invoices/42"
}
