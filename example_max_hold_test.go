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
)

// Work that hangs does not keep others out for ever: the lease is lost after the given time,
// however often it was renewed.
func ExampleWithMaxHold() {
	ctx := context.Background()
	locker, err := fencelock.New(mem.New(nil), &fencelock.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()

	err = fencelock.Do(ctx, locker, "imports/7", func(ctx context.Context, _ *fencelock.Lease) error {
		<-ctx.Done() // hangs
		return context.Cause(ctx)
	}, fencelock.WithMaxHold(50*time.Millisecond))
	fmt.Println("lost:", errors.Is(err, fencelock.ErrLost))
	fmt.Println("held for too long:", errors.Is(err, fencelock.ErrMaxHold))
	// Output:
	// lost: true
	// held for too long: true
}
