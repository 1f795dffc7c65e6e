package fencelock_test

import (
	"context"
	"fmt"
	"log"
	"slices"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
)

// What an operator's command prints: who holds what, of the locks whose keys begin with a
// prefix. An error comes last.
func ExampleClient_ListHeld() {
	ctx := context.Background()
	locker, err := fencelock.New(mem.New(nil), &fencelock.Options{Identity: "billing-7f9c"})
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()
	for _, key := range []string{"invoices/42", "invoices/43", "reports/2026"} {
		lease, err := locker.Lock(ctx, key)
		if err != nil {
			log.Fatal(err)
		}
		defer lease.Unlock(ctx)
	}

	var lines []string // they come in no order
	for status, err := range locker.ListHeld(ctx, "invoices/") {
		if err != nil {
			log.Fatal(err)
		}
		for _, h := range status.Holders {
			lines = append(lines, status.Key+" is held by "+h.Identity)
		}
	}
	slices.Sort(lines)
	for _, line := range lines {
		fmt.Println(line)
	}
	// Output:
	// invoices/42 is held by billing-7f9c
	// invoices/43 is held by billing-7f9c
}
