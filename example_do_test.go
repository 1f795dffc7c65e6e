package fencelock_test

import (
	"context"
	"fmt"
	"log"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/mem"
)

func ExampleDo() {
	ctx := context.Background()
	locker, err := fencelock.Open(ctx, "mem://", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()

	err = fencelock.Do(ctx, locker, "reports/2026", func(ctx context.Context, lease *fencelock.Lease) error {
		fmt.Println("writing the report under", lease.Key())
		return nil
	})
	fmt.Println("error:", err)
	// Output:
	// writing the report under reports/2026
	// error: <nil>
}
