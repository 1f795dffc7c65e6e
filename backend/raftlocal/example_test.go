package raftlocal_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/raftlocal" // for raft:// and raftmem://
	"github.com/fencelock/fencelock/fencing"
)

// charge stands for work that takes a context and sends the token with its writes.
func charge(ctx context.Context, token fencing.Token) {
	fmt.Println("charging; lock held:", ctx.Err() == nil, "token given:", token > 0)
}

// Processes of one machine share a directory. No server is needed.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "fencelock") // usually a fixed one, such as /var/lib/app/locks
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	locker, err := fencelock.Open(ctx, "raft://"+filepath.Join(dir, "locks"), nil)
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
	// Output: charging; lock held: true token given: true
}

// A member of a cluster, and at the same time a user of its locks. The other two have the same
// URL with id=b and id=c.
func ExampleOpen() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	locker, err := fencelock.Open(ctx, "raft:///var/lib/app/locks"+ // this member's own directory
		"?id=a&cluster=prod"+
		"&peers=a=h1.internal:7300,b=h2.internal:7300,c=h3.internal:7300"+
		"&ca=/etc/fencelock/ca.pem&cert=/etc/fencelock/cert.pem&key=/etc/fencelock/key.pem"+
		"&namespace=billing", // programs that are to exclude each other have the same
		nil)
	if err != nil {
		log.Fatal(err) // it says which members were not reached
	}
	defer locker.Close() // hands leadership over before the member ends

	lease, err := locker.Lock(ctx, "invoices/42")
	if err != nil {
		log.Fatal(err)
	}
	charge(lease.Context(ctx), lease.Token())
	lease.Unlock(ctx)
	<-ctx.Done() // it is a member until it is told to end
}

// A client of a cluster, in a process that is none of its members.
func ExampleOpen_client() {
	ctx := context.Background()
	locker, err := fencelock.Open(ctx, "raft://h1.internal,h2.internal,h3.internal?cluster=prod"+
		"&ca=/etc/fencelock/ca.pem&cert=/etc/fencelock/cert.pem&key=/etc/fencelock/key.pem"+
		"&namespace=billing",
		nil)
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
