package zookeeper_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"os"

	"github.com/fencelock/fencelock"
	lockzookeeper "github.com/fencelock/fencelock/backend/zookeeper"
)

// What the application has in its code, and not in a URL: servers that it has found itself, and TLS
// of its own.
func ExampleNew() {
	ctx := context.Background()
	pem, err := os.ReadFile("/etc/fencelock/ca.pem")
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	secure := &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: roots,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { // for each connection
			cert, err := tls.LoadX509KeyPair("/etc/fencelock/cert.pem", "/etc/fencelock/key.pem")
			return &cert, err
		},
	}
	backend, err := lockzookeeper.New(ctx, []string{"zk-1.internal:2281", "zk-2.internal:2281", "zk-3.internal:2281"}, &lockzookeeper.Options{
		Namespace: "billing", User: "locks", Password: os.Getenv("ZOOKEEPER_PASSWORD"), TLS: secure,
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
