package fencelock_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
)

// At the end of a program Close unlocks what is held, so that other processes need not wait
// for a TTL. Calls that wait return.
func ExampleClient_Close() {
	ctx := context.Background()
	space := mem.NewSpace() // the server
	locker, err := fencelock.New(mem.New(space), nil)
	if err != nil {
		log.Fatal(err)
	}
	lease, err := locker.Lock(ctx, "shards/3")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("error:", locker.Close())
	fmt.Println("ended by Close:", lease.Err() != nil)
	_, err = locker.Lock(ctx, "shards/3")
	fmt.Println("closed:", errors.Is(err, fencelock.ErrClosed))

	next, err := fencelock.New(mem.New(space), nil) // another process
	if err != nil {
		log.Fatal(err)
	}
	defer next.Close()
	_, err = next.TryLock(ctx, "shards/3")
	fmt.Println("free:", err == nil)
	// Output:
	// error: <nil>
	// ended by Close: true
	// closed: true
	// free: true
}
