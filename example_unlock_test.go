package fencelock_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
)

// Unlock is deferred, and called once more where its error matters: the second call returns
// what the first one found. It frees the lock though its context has ended.
func ExampleLease_Unlock() {
	ctx, cancel := context.WithCancel(context.Background())
	locker, err := fencelock.New(mem.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()

	transfer := func() error {
		lease, err := locker.Lock(ctx, "accounts/7")
		if err != nil {
			return err
		}
		defer lease.Unlock(ctx) // for a return before the end, and for a panic

		// The work is here.
		cancel() // the request that it is for has been given up

		if err := lease.Unlock(ctx); err != nil {
			return fmt.Errorf("the work is done, but perhaps not under the lock: %w", err)
		}
		fmt.Println("ended by Unlock:", errors.Is(lease.Err(), fencelock.ErrUnlocked))
		return nil
	}
	fmt.Println("error:", transfer())

	_, err = locker.TryLock(context.Background(), "accounts/7")
	fmt.Println("free:", err == nil)
	// Output:
	// ended by Unlock: true
	// error: <nil>
	// free: true
}
