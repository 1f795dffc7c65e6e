package fencelock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
)

// Work that takes no context looks between its steps. A process that was paused finds out
// by it before the next.
func ExampleLease_Err() {
	ctx := context.Background()
	locker, err := fencelock.New(mem.New(nil), &fencelock.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()
	lease, err := locker.Lock(ctx, "mailings/7")
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(ctx)

	for _, to := range []string{"ann", "bob", "cid"} {
		if err := lease.Err(); err != nil {
			fmt.Println("stops before", to+"; lost:", errors.Is(err, fencelock.ErrLost))
			break
		}
		fmt.Println("writes to", to)
		if to == "bob" {
			if _, err := locker.Evict(ctx, "mailings/7", ""); err != nil { // an operator takes the lock away
				log.Fatal(err)
			}
			<-lease.Done()
		}
	}
	// Output:
	// writes to ann
	// writes to bob
	// stops before cid; lost: true
}
