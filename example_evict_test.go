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

// What an operator's command does about a holder that hangs. An empty attempt id stands for
// whatever attempt holds the lock; with one of Inspect's or ListHeld's, only that is evicted.
func ExampleClient_Evict() {
	ctx := context.Background()
	locker, err := fencelock.New(mem.New(nil), &fencelock.Options{Identity: "billing-7f9c", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()
	if _, err := locker.Lock(ctx, "invoices/42"); err != nil {
		log.Fatal(err)
	}

	for range 2 {
		switch evicted, err := locker.Evict(ctx, "invoices/42", ""); {
		case errors.Is(err, fencelock.ErrNotHeld):
			fmt.Println("nobody holds it")
		case err != nil:
			log.Fatal(err)
		default:
			fmt.Println("free; this holder is told:", evicted[0].Identity)
		}
	}
	// Output:
	// free; this holder is told: billing-7f9c
	// nobody holds it
}
