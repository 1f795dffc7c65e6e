package fencelock_test

import (
	"context"
	"fmt"
	"log"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/mem"
)

// Applications that share a server have a namespace each: the same key in two of them is
// two locks.
func ExampleOptions_namespace() {
	ctx := context.Background()
	for _, namespace := range []string{"billing", "shipping"} {
		locker, err := fencelock.Open(ctx, "mem://", &fencelock.Options{Namespace: namespace}) // or ?namespace=
		if err != nil {
			log.Fatal(err)
		}
		defer locker.Close()
		lease, err := locker.TryLock(ctx, "orders/42")
		if err != nil {
			log.Fatal(err)
		}
		defer lease.Unlock(ctx)
		fmt.Println(namespace, "holds", lease.Key())
	}
	// Output:
	// billing holds orders/42
	// shipping holds orders/42
}
