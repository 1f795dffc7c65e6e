package fencelock_test

import (
	"context"
	"fmt"
	"log"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/fencing"
)

// charge stands for work that takes a context and sends the token with its writes.
func charge(ctx context.Context, token fencing.Token) {
	fmt.Println("charging; lock held:", ctx.Err() == nil, "token given:", token > 0)
}

func Example() {
	ctx := context.Background()
	locker, err := fencelock.Open(ctx, "mem://", nil) // on a server: "redis://localhost:6379"
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()

	lease, err := locker.Lock(ctx, "invoices/42") // ctx bounds the wait, not the lease
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(ctx) // may be called twice, and with a ctx that has ended

	// The context ends before anybody else can get the lock. The token goes along with
	// each write, so that the resource can refuse a late one.
	charge(lease.Context(ctx), lease.Token())
	// Output: charging; lock held: true token given: true
}
