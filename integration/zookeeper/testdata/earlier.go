// The program of an earlier build: it locks and unlocks a key when it is told to. It is
// built with that build's source, see mixed_test.go.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/zookeeper"
)

func main() {
	url, key := os.Args[1], os.Args[2]
	ttl, err := time.ParseDuration(os.Args[3])
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	c, err := fencelock.Open(ctx, url, &fencelock.Options{TTL: ttl, Namespace: os.Args[4]})
	if err != nil {
		panic(err)
	}
	var l *fencelock.Lease
	for orders := bufio.NewScanner(os.Stdin); orders.Scan(); {
		switch order := orders.Text(); order {
		case "lock":
			if l, err = c.Lock(ctx, key); err == nil {
				fmt.Println("held", uint64(l.Token()))
			}
		case "unlock":
			if err = l.Unlock(ctx); err == nil {
				fmt.Println("free")
			}
		default:
			panic(order)
		}
		if err != nil {
			fmt.Println("error", err)
		}
	}
}
