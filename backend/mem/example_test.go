package mem_test

import (
	"context"
	"fmt"
	"log"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/mem" // for mem://
	"github.com/fencelock/fencelock/fencing"
)

// charge stands for work that takes a context and sends the token with its writes.
func charge(ctx context.Context, token fencing.Token) {
	fmt.Println("charging; lock held:", ctx.Err() == nil, "token given:", token > 0)
}

func Example() {
	ctx := context.Background()
	locker, err := fencelock.Open(ctx, "mem://orders", nil) // every mem://orders of this process is the same
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()

	lease, err := locker.Lock(ctx, "invoices/42")
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(ctx)
	charge(lease.Context(ctx), lease.Token())
	// Output: charging; lock held: true token given: true
}

// The same names as on a server: what differs in production is the URL.
func ExampleOpen() {
	ctx := context.Background()
	billing, err := fencelock.Open(ctx, "mem://orders?namespace=billing", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer billing.Close()
	stock, err := fencelock.Open(ctx, "mem://orders?namespace=stock", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer stock.Close()

	for _, locker := range []*fencelock.Client{billing, stock} { // they do not exclude each other
		lease, err := locker.TryLock(ctx, "42")
		if err != nil {
			log.Fatal(err)
		}
		defer lease.Unlock(ctx)
		fmt.Println("holds", lease.Key())
	}
	// Output:
	// holds 42
	// holds 42
}
