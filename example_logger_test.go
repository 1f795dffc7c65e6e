package fencelock_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
)

// The logger gets what an operator should read, and nothing for each lock. It may block:
// no lock waits for it.
func ExampleOptions_logger() {
	withoutTime := func(_ []string, a slog.Attr) slog.Attr {
		switch a.Key {
		case slog.LevelKey, slog.MessageKey, "key":
			return a
		}
		return slog.Attr{}
	}
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime}))

	ctx := context.Background()
	locker, err := fencelock.New(mem.New(nil), &fencelock.Options{Logger: logger})
	if err != nil {
		log.Fatal(err)
	}
	lease, err := locker.Lock(ctx, "invoices/42")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := locker.Evict(ctx, "invoices/42", ""); err != nil { // an operator takes the lock away
		log.Fatal(err)
	}
	<-lease.Done()
	locker.Close() // which waits until the logger has got everything
	fmt.Println("closed")
	// Unordered output:
	// level=WARN msg="fencelock: lock evicted" key=invoices/42
	// level=ERROR msg="fencelock: lease lost" key=invoices/42
	// closed
}
