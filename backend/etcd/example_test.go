package etcd_test

import (
	"context"
	"fmt"
	"log"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/etcd" // for etcd:// and etcds://
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// charge stands for work that takes a context and sends the token with its writes.
func charge(ctx context.Context, token fencing.Token) {
	fmt.Println("charging; lock held:", ctx.Err() == nil, "token given:", token > 0)
}

func Example() {
	ctx := context.Background()
	locker, err := fencelock.Open(ctx, "etcd://localhost:2379", nil)
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

// In production: all members, TLS, a user whose password is in a file, and a namespace.
func ExampleOpen() {
	ctx := context.Background()
	locker, err := fencelock.Open(ctx, "etcds://locks@etcd-1.internal,etcd-2.internal,etcd-3.internal"+
		"/billing"+ // the namespace: programs that are to exclude each other have the same
		"?password_file=/run/secrets/etcd"+ // read for each login
		"&ca=/etc/fencelock/ca.pem"+ // like the next two read for each connection
		"&cert=/etc/fencelock/cert.pem&key=/etc/fencelock/key.pem",
		&fencelock.Options{RequireGuarantee: driver.Linearizable})
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()
	fmt.Println("promises:", locker.Info().Guarantee)
}
