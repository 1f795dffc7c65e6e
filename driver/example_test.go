package driver_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
)

// audited is a backend that says whom an operator takes a lock from.
type audited struct{ driver.Backend }

func (a audited) Evict(ctx context.Context, key, attemptID string) error {
	status, err := a.Inspect(ctx, key)
	if err != nil {
		return err
	}
	for _, holder := range status.Holders {
		fmt.Printf("evicting %s, which holds %s\n", holder.Identity, key)
	}
	return a.Backend.Evict(ctx, key, attemptID)
}

// A wrapper embeds a backend and changes some of its methods. How to write a whole one is at the
// top of this page.
func ExampleBackend() {
	ctx := context.Background()
	locker, err := fencelock.New(audited{mem.New(nil)}, &fencelock.Options{
		Identity: "billing-7f9c",
		Logger:   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()
	if _, err := locker.Lock(ctx, "invoices/42"); err != nil {
		log.Fatal(err)
	}
	if _, err := locker.Evict(ctx, "invoices/42", ""); err != nil {
		log.Fatal(err)
	}
	// Output: evicting billing-7f9c, which holds invoices/42
}
