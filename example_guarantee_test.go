package fencelock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
)

// A program says what it cannot do without, and Open fails where a URL leads to less.
func ExampleOptions_requireGuarantee() {
	url := os.Getenv("FENCELOCK_URL") // redis://… would be refused: it is advisory
	if url == "" {
		url = "mem://"
	}
	locker, err := fencelock.Open(context.Background(), url, &fencelock.Options{
		RequireGuarantee: driver.Linearizable, // one holder through crash, partition and fail-over
		RequireFeatures:  driver.Fair,         // first come, first served
	})
	switch {
	case errors.Is(err, fencelock.ErrUnsupported):
		fmt.Println("take another server:", err)
		return
	case err != nil:
		log.Fatal(err)
	}
	defer locker.Close()
	fmt.Println(locker.Info().Guarantee, locker.Info().Features)
	// Output: linearizable fair+push
}
