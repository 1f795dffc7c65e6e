package fencelock_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
)

// A lease's context carries the lease, so that code far below, which gets only a context, finds
// the token for its writes. NewContext puts a lease into a context of your own.
func ExampleFromContext() {
	locker, err := fencelock.New(mem.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()

	store := func(ctx context.Context) error { // knows nothing of locks but this
		lease, ok := fencelock.FromContext(ctx)
		if !ok {
			return errors.New("to store takes a lock")
		}
		fmt.Println("writing under", lease.Key(), "with a token:", lease.Token() > 0)
		return nil
	}
	fmt.Println("error:", store(context.Background()))
	err = fencelock.Do(context.Background(), locker, "accounts/7", func(ctx context.Context, _ *fencelock.Lease) error {
		return store(ctx)
	})
	fmt.Println("error:", err)
	// Output:
	// error: to store takes a lock
	// writing under accounts/7 with a token: true
	// error: <nil>
}
