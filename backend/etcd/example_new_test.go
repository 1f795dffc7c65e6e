package etcd_test

import (
	"context"
	"fmt"
	"log"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock"
	locketcd "github.com/fencelock/fencelock/backend/etcd"
)

// A client that the application has already.
func ExampleNew() {
	ctx := context.Background()
	client, err := clientv3.New(clientv3.Config{
		Endpoints:            []string{"localhost:2379"},
		DialTimeout:          5 * time.Second,
		DialKeepAliveTime:    5 * time.Second, // so that a member that has gone silent is noticed
		DialKeepAliveTimeout: 3 * time.Second,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	backend, err := locketcd.New(ctx, client, &locketcd.Options{Namespace: "billing"})
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
