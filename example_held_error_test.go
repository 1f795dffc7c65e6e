package fencelock_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
)

// Where the server knows, the error of a busy lock says who holds it, and for how long yet.
func ExampleHeldError() {
	ctx := context.Background()
	locker, err := fencelock.New(mem.New(nil), &fencelock.Options{Identity: "billing-7f9c"})
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()
	lease, err := locker.Lock(ctx, "invoices/42")
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(ctx)

	_, err = locker.TryLock(ctx, "invoices/42")
	if held := (*fencelock.HeldError)(nil); errors.As(err, &held) {
		fmt.Println("held by", held.Identity, "for some seconds yet:", held.Left.Seconds() > 1)
	}
	// Output: held by billing-7f9c for some seconds yet: true
}
