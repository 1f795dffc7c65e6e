package fencelock_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/mem"
)

// A lock whose holder may be cut off from the server for a minute has a longer TTL than the
// others. The price: if the holder dies, the lock is free only after that.
func ExampleWithTTL() {
	ctx := context.Background()
	locker, err := fencelock.Open(ctx, "mem://", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()

	lease, err := locker.Lock(ctx, "exports/2026", fencelock.WithTTL(3*time.Minute))
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(ctx)
	fmt.Println("survives an outage of a minute:", time.Until(lease.ValidUntil()) > time.Minute)
	// Output: survives an outage of a minute: true
}
