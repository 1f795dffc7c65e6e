package fencelock_test

import (
	"context"
	"fmt"
	"log"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
)

func ExampleClient_Inspect() {
	ctx := context.Background()
	locker, err := fencelock.New(mem.New(nil), &fencelock.Options{Identity: "billing-7f9c"})
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()
	lease, err := locker.Lock(ctx, "invoices/42")
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(ctx)

	status, err := locker.Inspect(ctx, "invoices/42")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("held:", status.Held(), "by:", status.Holders[0].Identity, "waiting:", status.Waiters)
	// Output: held: true by: billing-7f9c waiting: 0
}
