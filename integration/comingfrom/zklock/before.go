package invoices

import (
	"context"
	"time"

	"github.com/go-zookeeper/zk"
)

// Before charges an invoice under a lock of go-zookeeper.
func Before(ctx context.Context, addr, invoice string, charge func(context.Context) error) error {
	conn, _, err := zk.Connect([]string{addr}, 10*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()

	lock := zk.NewLock(conn, "/invoice-locks/"+invoice, zk.WorldACL(zk.PermAll))
	if err := lock.Lock(); err != nil { // cannot be told to stop waiting
		return err
	}
	defer lock.Unlock()

	return charge(ctx)
}
