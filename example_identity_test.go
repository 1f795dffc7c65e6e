package fencelock_test

import (
	"context"
	"fmt"
	"log"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
)

// A worker that locks for others says for whom, and adds what an operator will want to know.
// Inspect and ListHeld show both.
func ExampleWithIdentity() {
	ctx := context.Background()
	locker, err := fencelock.New(mem.New(nil), &fencelock.Options{Identity: "worker-3"})
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()

	lease, err := locker.Lock(ctx, "tenants/acme",
		fencelock.WithIdentity("worker-3 for acme"),
		fencelock.WithMeta("job=8812 https://jobs.example.com/8812"))
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(ctx)

	status, err := locker.Inspect(ctx, "tenants/acme")
	if err != nil {
		log.Fatal(err)
	}
	for _, h := range status.Holders {
		fmt.Println(h.Identity, "|", h.Meta)
	}
	// Output: worker-3 for acme | job=8812 https://jobs.example.com/8812
}
