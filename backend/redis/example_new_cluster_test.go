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

// The application's client of a Cluster, with what its options say.
func ExampleNew_cluster() {
	ctx := context.Background()
	client := goredis.NewClusterClient(&goredis.ClusterOptions{
		Addrs:    []string{"localhost:7001", "localhost:7002", "localhost:7003"},
		Username: "locks",
		Password: os.Getenv("REDIS_PASSWORD"),
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
