package fencelock_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/mem"
)

// While programs roll from one server to another, they hold both locks: those that know
// only the old server and those that know only the new one are kept out.
func ExampleOpenBoth() {
	ctx := context.Background()
	locker, err := fencelock.OpenBoth(ctx, "mem://old", "mem://new?token_base=1000000", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()
	lease, err := locker.Lock(ctx, "invoices/42")
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(ctx)
	fmt.Println("a token of the new server, above the old one's:", lease.Token() > 1_000_000)

	for _, url := range []string{"mem://old", "mem://new"} {
		other, err := fencelock.Open(ctx, url, nil)
		if err != nil {
			log.Fatal(err)
		}
		_, err = other.TryLock(ctx, "invoices/42")
		fmt.Println("a program with", url, "is kept out:", errors.Is(err, fencelock.ErrHeld))
		other.Close()
	}
	// Output:
	// a token of the new server, above the old one's: true
	// a program with mem://old is kept out: true
	// a program with mem://new is kept out: true
}
