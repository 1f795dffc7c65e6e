package zookeeper_test

import (
	"context"
	"fmt"
	"log"
	"net/url"
	"os"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/zookeeper" // for zookeeper:// and zookeepers://
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// charge stands for work that takes a context and sends the token with its writes.
func charge(ctx context.Context, token fencing.Token) {
	fmt.Println("charging; lock held:", ctx.Err() == nil, "token given:", token > 0)
}

func Example() {
	ctx := context.Background()
	locker, err := fencelock.Open(ctx, "zookeeper://localhost:2181", nil)
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

// In production: all servers, TLS, a user, a chroot and a namespace.
func ExampleOpen() {
	ctx := context.Background()
	user := url.UserPassword("locks", os.Getenv("ZOOKEEPER_PASSWORD")) // which percent-encodes both
	locker, err := fencelock.Open(ctx, "zookeepers://"+user.String()+"@zk-1.internal,zk-2.internal,zk-3.internal"+
		"/apps"+ // the chroot
		"?namespace=billing"+ // programs that are to exclude each other have the same
		"&ca=/etc/fencelock/ca.pem"+ // like the next two read again for each connection
		"&cert=/etc/fencelock/cert.pem&key=/etc/fencelock/key.pem",
		&fencelock.Options{RequireGuarantee: driver.Linearizable})
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()
	fmt.Println("promises:", locker.Info().Guarantee)
}
