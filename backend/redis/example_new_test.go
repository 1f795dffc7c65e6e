package redis_test

import (
	"context"
	"fmt"
	"log"
	"os"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	lockredis "github.com/fencelock/fencelock/backend/redis"
)

// The application's client connects as its options say, here with a password that a
// function fetches for each connection.
func ExampleNew() {
	ctx := context.Background()
	client := goredis.NewClient(&goredis.Options{
		Addr: "localhost:6379",
		CredentialsProviderContext: func(context.Context) (user, password string, err error) {
			return "locks", os.Getenv("REDIS_PASSWORD"), nil // or from a vault
		},
	})
	defer client.Close()

	backend, err := lockredis.New(ctx, client, &lockredis.Options{Namespace: "billing"})
	if err != nil {
		log.Fatal(err)
	}
	locker, err := fencelock.New(backend, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close() // and the backend with it, not the client

	lease, err := locker.Lock(ctx, "invoices/42")
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(ctx)
	fmt.Println("holds", lease.Key())
}
