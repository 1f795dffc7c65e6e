package raftlocal_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/raftlocal"
	"github.com/fencelock/fencelock/fencing"
)

// A client of a cluster with certificates that the application has, from files here. New makes a
// member just so: with Dir, ID and Peers in place of Hosts.
func ExampleNew() {
	ctx := context.Background()
	authority, err := os.ReadFile("/etc/fencelock/ca.pem")
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		log.Fatal("no certificate in ca.pem")
	}
	own, err := tls.LoadX509KeyPair("/etc/fencelock/cert.pem", "/etc/fencelock/key.pem")
	if err != nil {
		log.Fatal(err)
	}

	backend, err := raftlocal.New(ctx, &raftlocal.Options{
		Hosts:     []string{"h1.internal:7300", "h2.internal:7300", "h3.internal:7300"},
		Cluster:   "prod",
		TLS:       &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{own}},
		Namespace: "billing",
	})
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

// A directory is looked after as a cluster is.
func ExampleNewAdmin() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "fencelock") // usually a fixed one, such as /var/lib/app/locks
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	options := &raftlocal.Options{Dir: filepath.Join(dir, "locks")}
	backend, err := raftlocal.New(ctx, options) // in a process that uses the locks
	if err != nil {
		log.Fatal(err)
	}
	defer backend.Close()

	admin, err := raftlocal.NewAdmin(options) // in this or in another
	if err != nil {
		log.Fatal(err)
	}
	status, err := admin.Status(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("members:", len(status.Members), "with a leader:", status.Leader != "")
	// Output: members: 1 with a leader: true
}

// A backup of one directory is restored to another. Tokens go on rising.
func ExampleRestore() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "fencelock")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	before := &raftlocal.Options{Dir: filepath.Join(dir, "before")}
	after := &raftlocal.Options{Dir: filepath.Join(dir, "after")}

	var backup bytes.Buffer
	old := oneToken(before, func(admin *raftlocal.Admin) error { return admin.Backup(ctx, &backup) })

	// When the directory is lost for good.
	if err := raftlocal.Restore(after, &backup, time.Now()); err != nil {
		log.Fatal(err)
	}
	latest := oneToken(after, func(*raftlocal.Admin) error { return nil })
	fmt.Println("tokens rise:", latest > old)
	// Output: tokens rise: true
}

// oneToken opens a directory, has a lock there for a moment, and then something done to it.
func oneToken(c *raftlocal.Options, then func(*raftlocal.Admin) error) fencing.Token {
	ctx := context.Background()
	backend, err := raftlocal.New(ctx, c)
	if err != nil {
		log.Fatal(err)
	}
	locker, err := fencelock.New(backend, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()
	lease, err := locker.Lock(ctx, "invoices/42")
	if err != nil {
		log.Fatal(err)
	}
	lease.Unlock(ctx)

	admin, err := raftlocal.NewAdmin(c)
	if err == nil {
		err = then(admin)
	}
	if err != nil {
		log.Fatal(err)
	}
	return lease.Token()
}
