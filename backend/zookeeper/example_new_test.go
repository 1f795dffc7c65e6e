package zookeeper_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock"
	lockzookeeper "github.com/fencelock/fencelock/backend/zookeeper"
)

// A connection that the application has already. Its locks live and die with its session.
func ExampleNew() {
	ctx := context.Background()
	const session = 10 * time.Second // which the server must grant in full
	conn, _, err := zk.Connect([]string{"localhost:2181"}, session)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	backend, err := lockzookeeper.New(ctx, conn, &lockzookeeper.Options{Namespace: "billing", SessionTimeout: session})
	if err != nil {
		log.Fatal(err)
	}
	locker, err := fencelock.New(backend, nil) // the TTL is a second less than the session's
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close() // and the backend with it, not the connection

	lease, err := locker.Lock(ctx, "invoices/42")
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(ctx)
	fmt.Println("holds", lease.Key())
}
