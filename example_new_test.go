package fencelock_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
)

// A backend that the application has made itself: of a client that it has, or with a
// certificate from elsewhere than a file. New of each backend's package has an example, too.
func ExampleNew() {
	backend := mem.New(mem.NewSpace())
	locker, err := fencelock.New(backend, &fencelock.Options{TTL: 30 * time.Second})
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close() // and the backend with it

	lease, err := locker.Lock(context.Background(), "invoices/42")
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(context.Background())
	fmt.Println("holds", lease.Key())
	// Output: holds invoices/42
}
