package mem_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
)

// Two clients of one server, as two processes would be.
func ExampleNew() {
	ctx := context.Background()
	space := mem.NewSpace()
	here, err := fencelock.New(mem.New(space), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer here.Close()
	there, err := fencelock.New(mem.New(space), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer there.Close()

	lease, err := here.Lock(ctx, "invoices/42")
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(ctx)
	_, err = there.TryLock(ctx, "invoices/42")
	fmt.Println("held by another:", errors.Is(err, fencelock.ErrHeld))
	// Output: held by another: true
}
