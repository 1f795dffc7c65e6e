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
// hold the second scheduler finds the lock taken, and does not run the job once more. Take such a
// lock with TryLock: Lock, Do and DoValue wait until the minimum is over, and then run the job
// once more.
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

	first.Close() // ends the minimum early: not for a program that exits after its job
	_, err = second.TryLock(ctx, "jobs/hourly")
	fmt.Println("free after Close:", err == nil)
	// Output:
	// the first works
	// error: <nil>
	// the second is too late: true
	// free after Close: true
}

// A program that cron starts on each of several hosts, and that exits after its job. It does not
// call Close, which would end the minimum early. The lock ends by itself with its TTL, which is as
// long as the minimum.
func ExampleWithMinHold_cron() {
	ctx := context.Background()
	space := mem.NewSpace()     // the server
	cron := func(host string) { // main of that program
		locker, err := fencelock.New(mem.New(space), nil)
		if err != nil {
			log.Fatal(err)
		}
		// No defer locker.Close(): the lock has to outlive the program.
		lease, err := locker.TryLock(ctx, "jobs/hourly", fencelock.WithMinHold(time.Minute), fencelock.WithTTL(time.Minute))
		if errors.Is(err, fencelock.ErrHeld) {
			fmt.Println(host, "has nothing to do")
			return
		} else if err != nil {
			log.Fatal(err)
		}
		fmt.Println(host, "works")
		if err := lease.Unlock(ctx); err != nil { // says whether the lease was lost
			log.Fatal(err)
		}
	}
	cron("host a")
	cron("host b") // some seconds later
	// Output:
	// host a works
	// host b has nothing to do
}
