package fencelock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/fencing"
)

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
	if _, err := locker.Evict(ctx, "shards/3", ""); err != nil { // an operator takes the lock away
		log.Fatal(err)
	}
	<-work.Done()
	fmt.Println("lost:", errors.Is(context.Cause(work), fencelock.ErrLost))
	// Output: lost: true
}

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
