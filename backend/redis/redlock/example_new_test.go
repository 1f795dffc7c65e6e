package redlock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	lockredlock "github.com/fencelock/fencelock/backend/redis/redlock"
)

// The application's clients connect as their options say, each to one master.
func ExampleNew() {
	ctx := context.Background()
	var clients []goredis.UniversalClient
	for _, addr := range []string{"localhost:6381", "localhost:6382", "localhost:6383"} {
		client := goredis.NewClient(&goredis.Options{Addr: addr, Username: "locks", Password: os.Getenv("REDIS_PASSWORD")})
		defer client.Close()
		clients = append(clients, client)
	}

	backend, err := lockredlock.New(ctx, clients, &lockredlock.Options{Namespace: "billing"})
	if err != nil {
		log.Fatal(err)
	}
	locker, err := fencelock.New(backend, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close() // and the backend with it, not the clients

	lease, err := locker.Lock(ctx, "invoices/42")
	var few *lockredlock.NoQuorumError
	if errors.As(err, &few) {
		for _, node := range few.Nodes {
			fmt.Println(node.Node, node.Err)
		}
	}
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(ctx)
	fmt.Println("holds", lease.Key())
}
