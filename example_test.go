package fencelock_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// charge stands for work that takes a context and sends the token with its writes.
func charge(ctx context.Context, token fencing.Token) {
	fmt.Println("charging; lock held:", ctx.Err() == nil, "token given:", token > 0)
}

func Example() {
	ctx := context.Background()
	locker, err := fencelock.Open(ctx, "mem://", nil) // on a server: "redis://localhost:6379"
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()

	lease, err := locker.Lock(ctx, "invoices/42") // ctx bounds the wait, not the lease
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(ctx) // may be called twice, and with a ctx that has ended

	// The context ends before anybody else can get the lock. The token goes along
	// with each write, so that the resource can refuse one that comes too late.
	charge(lease.Context(ctx), lease.Token())
	// Output: charging; lock held: true token given: true
}

func ExampleOpen() {
	ctx := context.Background()
	locker, err := fencelock.Open(ctx, cmp.Or(os.Getenv("FENCELOCK_URL"), "mem://"), &fencelock.Options{
		TTL:     30 * time.Second,
		Require: driver.Advisory, // Open fails on a backend that promises less
	})
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()
	fmt.Println(locker.Info().Name, "promises:", locker.Info().Guarantee)
	// Output: mem promises: linearizable
}

func ExampleDo() {
	ctx := context.Background()
	locker, err := fencelock.Open(ctx, "mem://", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()

	err = fencelock.Do(ctx, locker, "reports/2026", func(ctx context.Context, lease *fencelock.Lease) error {
		fmt.Println("writing the report under", lease.Key())
		return nil
	})
	fmt.Println("error:", err)
	// Output:
	// writing the report under reports/2026
	// error: <nil>
}

func ExampleClient_TryLock() {
	ctx := context.Background()
	space := mem.NewSpace() // a server for two clients
	here, err := fencelock.New(mem.New(space), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer here.Close()
	there, err := fencelock.New(mem.New(space), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer there.Close()

	lease, err := here.Lock(ctx, "jobs/nightly")
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(ctx)
	_, err = there.TryLock(ctx, "jobs/nightly")
	if errors.Is(err, fencelock.ErrHeld) {
		fmt.Println("somebody else does it")
	}
	// Output: somebody else does it
}

func ExampleLease_Context() {
	ctx := context.Background()
	locker, err := fencelock.New(mem.New(nil), &fencelock.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()
	lease, err := locker.Lock(ctx, "shards/3")
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(ctx)

	work := lease.Context(ctx)
	if err := locker.Evict(ctx, "shards/3"); err != nil { // an operator takes the lock away
		log.Fatal(err)
	}
	<-work.Done()
	fmt.Println("lost:", errors.Is(context.Cause(work), fencelock.ErrLost))
	// Output: lost: true
}

func ExampleLease_Token() {
	ctx := context.Background()
	locker, err := fencelock.New(mem.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()

	var gate fencing.Gate // in front of the resource
	var tokens []fencing.Token
	for range 2 { // two holders, one after the other
		lease, err := locker.Lock(ctx, "files/a")
		if err != nil {
			log.Fatal(err)
		}
		tokens = append(tokens, lease.Token())
		lease.Unlock(ctx)
	}
	fmt.Println("the second holder may write:", gate.Admit("files/a", tokens[1]) == nil)
	err = gate.Admit("files/a", tokens[0])
	fmt.Println("the first one comes too late:", errors.Is(err, fencing.ErrStale))
	// Output:
	// the second holder may write: true
	// the first one comes too late: true
}
