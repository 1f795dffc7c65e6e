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
