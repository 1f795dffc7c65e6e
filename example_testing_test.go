package fencelock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver/drivertest"
)

// Code that uses locks is tested without a server: a mem.Space is one, each client on it
// stands for a process, and a drivertest.Link is the network between them. In a bubble of
// testing/synctest all of it lives in virtual time: see docs/testing-your-code.md.
func Example_testing() {
	ctx := context.Background()
	space := mem.NewSpace()
	network := drivertest.NewLink(mem.New(space), 0)
	newProcess := func(ttl time.Duration) *fencelock.Client {
		locker, err := fencelock.New(network, &fencelock.Options{TTL: ttl})
		if err != nil {
			log.Fatal(err)
		}
		return locker
	}
	locker := newProcess(500 * time.Millisecond)
	defer locker.Close()

	mend := network.Cut() // the server is away
	wait, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	_, err := locker.Lock(wait, "invoices/42")
	fmt.Println("unavailable:", errors.Is(err, fencelock.ErrUnavailable))

	mend()
	_, err = locker.Lock(ctx, "invoices/42")
	fmt.Println("error:", err)
	// Output:
	// unavailable: true
	// error: <nil>
}
