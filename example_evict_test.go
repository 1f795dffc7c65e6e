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

// What an operator's command does about a holder that hangs.
func ExampleClient_Evict() {
	ctx := context.Background()
	locker, err := fencelock.New(mem.New(nil), &fencelock.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()
	if _, err := locker.Lock(ctx, "invoices/42"); err != nil {
		log.Fatal(err)
	}

	for range 2 {
		switch _, err := locker.Evict(ctx, "invoices/42", ""); {
		case errors.Is(err, fencelock.ErrNotHeld):
			fmt.Println("nobody holds it")
		case err != nil:
			log.Fatal(err)
		default:
			fmt.Println("free; its holder is told")
		}
	}
	// Output:
	// free; its holder is told
	// nobody holds it
}
