package fencelock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
)

// Code that uses locks is tested without a server: a mem.Space is one, which can be told to
// fail, and each client on it stands for a process. In a bubble of testing/synctest all of it
// runs in virtual time: see docs/testing-your-code.md.
func Example_testing() {
	ctx := context.Background()
	space := mem.NewSpace()
	locker, err := fencelock.New(mem.New(space), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()

	heal := space.Inject(mem.Fault{Kind: mem.Down}) // nobody listens
	wait, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	_, err = locker.Lock(wait, "invoices/42")
	fmt.Println("unavailable:", errors.Is(err, fencelock.ErrUnavailable))

	heal()
	_, err = locker.Lock(ctx, "invoices/42")
	fmt.Println("error:", err)
	// Output:
	// unavailable: true
	// error: <nil>
}
