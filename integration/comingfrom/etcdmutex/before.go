package invoices

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

// Before charges an invoice under a mutex of etcd's client.
func Before(ctx context.Context, addr, invoice string, charge func(context.Context) error) error {
	cli, err := clientv3.New(clientv3.Config{Endpoints: []string{addr}, DialTimeout: 5 * time.Second})
	if err != nil {
		return err
	}
	defer cli.Close()
	session, err := concurrency.NewSession(cli) // a lease of 60 s, kept alive
	if err != nil {
		return err
	}
	defer session.Close()

	mutex := concurrency.NewMutex(session, "/invoice-locks/"+invoice)
	if err := mutex.Lock(ctx); err != nil {
		return err
	}
	defer mutex.Unlock(context.WithoutCancel(ctx))

	return charge(ctx)
}
