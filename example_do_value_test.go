package fencelock_test

import (
	"context"
	"fmt"
	"log"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
)

// Do for a function that returns a value.
func ExampleDoValue() {
	ctx := context.Background()
	locker, err := fencelock.New(mem.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()

	next := 41
	number, err := fencelock.DoValue(ctx, locker, "sequences/invoices", func(context.Context, *fencelock.Lease) (int, error) {
		next++
		return next, nil
	})
	fmt.Println(number, err)
	// Output: 42 <nil>
}
