package drivertest_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/drivertest"
)

// forgetful releases whatever is held, by any attempt.
type forgetful struct{ driver.Backend }

func (f forgetful) Release(ctx context.Context, g driver.Grant) error {
	s, err := f.Inspect(ctx, g.Key)
	if err != nil || !s.Held() {
		return driver.ErrNotHeld
	}
	return f.Backend.Release(ctx, driver.Grant{Key: g.Key, AttemptID: s.Holders[0].AttemptID})
}

// Check finds a backend at fault and quotes the contract.
func ExampleCheck() {
	space := mem.NewSpace()
	broken := drivertest.Check(context.Background(), drivertest.Harness{
		New:  func(drivertest.T) driver.Backend { return forgetful{mem.New(space)} },
		Want: mem.New(space).Info(),
	}, "Exclusion", "ReleaseOnlyOwn")
	fmt.Println(broken[0].Rule.Name)
	fmt.Println(broken[0].Rule.Sentence)
	// Output:
	// ReleaseOnlyOwn
	// Release ends the claim of its attempt on its key, and no other's.
}

// A server that is away, for a test of code that uses locks.
func ExampleLink() {
	network := drivertest.NewLink(mem.New(nil), 0)
	locker, err := fencelock.New(network, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()

	ask := func(d time.Duration) error {
		ctx, cancel := context.WithTimeout(context.Background(), d)
		defer cancel()
		_, err := locker.Inspect(ctx, "invoices/42")
		return err
	}
	mend := network.Cut()
	fmt.Println("unavailable:", errors.Is(ask(50*time.Millisecond), fencelock.ErrUnavailable))
	mend()
	fmt.Println("unavailable:", errors.Is(ask(time.Minute), fencelock.ErrUnavailable))
	// Output:
	// unavailable: true
	// unavailable: false
}
