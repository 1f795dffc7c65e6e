package fencelock_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/fencing"
)

func ExampleLease_Token() {
	ctx := context.Background()
	locker, err := fencelock.New(mem.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()

	var gate fencing.Gate // in front of the resource
	var tokens []fencing.Token
	for range 2 { // two holders, one after the other
		lease, err := locker.Lock(ctx, "files/a")
		if err != nil {
			log.Fatal(err)
		}
		tokens = append(tokens, lease.Token())
		lease.Unlock(ctx)
	}
	fmt.Println("the second holder may write:", gate.Admit("files/a", tokens[1]) == nil)
	err = gate.Admit("files/a", tokens[0])
	fmt.Println("the first one comes too late:", errors.Is(err, fencing.ErrStale))
	// Output:
	// the second holder may write: true
	// the first one comes too late: true
}
