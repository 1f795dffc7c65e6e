package fencelock_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/mem"
)

// Each replica of a service has the same timer, and one of them does the job.
func ExampleClient_TryLock() {
	ctx := context.Background()
	locker, err := fencelock.Open(ctx, "mem://", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()

	nightly := func(replica string) {
		lease, err := locker.TryLock(ctx, "jobs/nightly")
		if errors.Is(err, fencelock.ErrHeld) {
			fmt.Println(replica, "leaves it to another")
			return
		}
		if err != nil {
			log.Fatal(err)
		}
		defer lease.Unlock(ctx)
		fmt.Println(replica, "works")
	}
	nightly("a")

	lease, err := locker.Lock(ctx, "jobs/nightly")
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(ctx)
	nightly("b")
	// Output:
	// a works
	// b leaves it to another
}
