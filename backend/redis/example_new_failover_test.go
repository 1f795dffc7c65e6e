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

// The options from which the application has made its own client: that does not tell its Sentinels.
func ExampleNewFailover() {
	ctx := context.Background()
	options := &goredis.FailoverOptions{
		MasterName:       "mymaster",
		SentinelAddrs:    []string{"localhost:26379", "localhost:26380", "localhost:26381"},
		SentinelPassword: os.Getenv("SENTINEL_PASSWORD"),
		Username:         "locks",
		Password:         os.Getenv("REDIS_PASSWORD"),
	}
	client := goredis.NewFailoverClient(options)
	defer client.Close()

	backend, err := lockredis.NewFailover(ctx, options, &lockredis.Options{Namespace: "billing"})
	if err != nil {
		log.Fatal(err)
	}
	locker, err := fencelock.New(backend, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close() // and the backend with it

	lease, err := locker.Lock(ctx, "invoices/42")
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(ctx)
	fmt.Println("holds", lease.Key())
}
