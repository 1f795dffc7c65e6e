package fencelock_test

import (
	"context"
	"errors"
	"expvar"
	"fmt"
	"log"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
)

// counter counts what happens to locks. expvar.NewMap("locks") instead of new(expvar.Map)
// would show it at /debug/vars.
type counter struct{ expvar.Map }

func (c *counter) Observe(_ context.Context, e fencelock.Event) {
	if e.Kind == fencelock.EventNotAcquired && errors.Is(e.Err, fencelock.ErrHeld) {
		c.Add("busy", 1) // not a fault: another had the lock
		return
	}
	c.Add(e.Kind.String(), 1)
	if e.Kind == fencelock.EventUnlocked {
		c.AddFloat("seconds held", e.Held.Seconds())
	}
}

func ExampleObserver() {
	ctx := context.Background()
	count := new(counter)
	locker, err := fencelock.New(mem.New(nil), &fencelock.Options{Observer: count})
	if err != nil {
		log.Fatal(err)
	}
	lease, err := locker.Lock(ctx, "invoices/42")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := locker.TryLock(ctx, "invoices/42"); err == nil {
		log.Fatal("two have it")
	}
	lease.Unlock(ctx)
	locker.Close() // which waits until the observer has got everything

	for _, name := range []string{"acquired", "busy", "unlocked"} {
		fmt.Println(name, count.Get(name))
	}
	// Output:
	// acquired 1
	// busy 1
	// unlocked 1
}
