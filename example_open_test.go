package fencelock_test

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
)

func ExampleOpen() {
	ctx := context.Background()
	locker, err := fencelock.Open(ctx, cmp.Or(os.Getenv("FENCELOCK_URL"), "mem://"), &fencelock.Options{
		TTL:              30 * time.Second,
		RequireGuarantee: driver.Advisory, // Open fails on a backend that promises less
	})
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()
	fmt.Println(locker.Info().Name, "promises:", locker.Info().Guarantee)
	// Output: mem promises: linearizable
}
