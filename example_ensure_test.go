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

// Before a step that takes long and cannot be interrupted.
func ExampleLease_Ensure() {
	ctx := context.Background()
	locker, err := fencelock.New(mem.New(nil), &fencelock.Options{TTL: time.Minute})
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()
	lease, err := locker.Lock(ctx, "disks/sda")
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(ctx)

	// To write the partition table takes 20 s at most. Half of it is worse than nothing.
	if err := lease.Ensure(ctx, 20*time.Second); err != nil {
		log.Fatal(err) // the lease is lost, or the server cannot be asked to make it longer
	}
	fmt.Println("writes the partition table")

	err = lease.Ensure(ctx, time.Minute)
	fmt.Println("more than nine tenths of the TTL cannot be had:", errors.Is(err, fencelock.ErrInvalid))
	// Output:
	// writes the partition table
	// more than nine tenths of the TTL cannot be had: true
}
