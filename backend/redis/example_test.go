package redis_test

import (
	"context"
	"fmt"
	"log"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/redis" // for redis://, rediss:// and unix://
	"github.com/fencelock/fencelock/fencing"
)

// charge stands for work that takes a context and sends the token with its writes.
func charge(ctx context.Context, token fencing.Token) {
	fmt.Println("charging; lock held:", ctx.Err() == nil, "token given:", token > 0)
}

func Example() {
	ctx := context.Background()
	locker, err := fencelock.Open(ctx, "redis://localhost:6379", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()

	lease, err := locker.Lock(ctx, "invoices/42")
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(ctx)
	charge(lease.Context(ctx), lease.Token())
}

// In production: TLS, a password that is read again for each connection, and a namespace.
func ExampleOpen() {
	ctx := context.Background()
	locker, err := fencelock.Open(ctx, "rediss://locks@redis.internal:6379"+
		"?namespace=billing"+ // programs that are to exclude each other have the same
		"&password_file=/run/secrets/redis"+
		"&ca=/etc/fencelock/ca.pem", // without it the system's authorities are trusted
		nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()

	for _, warning := range locker.Info().Warnings { // the logger has got them, too
		fmt.Println("a setting of the server weakens the promise:", warning)
	}
	fmt.Println("promises:", locker.Info().Guarantee)
}
