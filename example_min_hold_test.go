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

// The clocks of two schedulers differ by some seconds, and the job takes less. With a minimum
// hold the second scheduler finds the lock taken, and does not run the job once more.
func ExampleWithMinHold() {
	ctx := context.Background()
	space := mem.NewSpace() // the server
	scheduler := func() *fencelock.Client {
		locker, err := fencelock.New(mem.New(space), nil)
		if err != nil {
			log.Fatal(err)
		}
		return locker
	}
	first, second := scheduler(), scheduler()
	defer second.Close()

	lease, err := first.TryLock(ctx, "jobs/hourly", fencelock.WithMinHold(time.Minute))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the first works")
	fmt.Println("error:", lease.Unlock(ctx)) // the lease has ended; the client keeps the lock

	_, err = second.TryLock(ctx, "jobs/hourly", fencelock.WithMinHold(time.Minute))
	fmt.Println("the second is too late:", errors.Is(err, fencelock.ErrHeld))

	first.Close() // does not wait for the minute
	_, err = second.TryLock(ctx, "jobs/hourly")
	fmt.Println("free after Close:", err == nil)
	// Output:
	// the first works
	// error: <nil>
	// the second is too late: true
	// free after Close: true
}
