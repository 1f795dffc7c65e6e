package invoices

import (
	"context"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/fencing"
)

// Rolling holds both, go-zookeeper's first. The work ends when that connection breaks, since
// the library tells of a session's end only when it is connected again.
func Rolling(ctx context.Context, addr, url, invoice string, charge func(context.Context, fencing.Token) error) error {
	conn, events, err := zk.Connect([]string{addr}, 10*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	locker, err := fencelock.Open(ctx, url, nil)
	if err != nil {
		return err
	}
	defer locker.Close()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		for e := range events { // until the connection is closed
			if e.State == zk.StateDisconnected || e.State == zk.StateExpired {
				cancel()
			}
		}
	}()
	lock := zk.NewLock(conn, "/invoice-locks/"+invoice, zk.WorldACL(zk.PermAll))
	if err := lock.Lock(); err != nil {
		return err
	}
	defer lock.Unlock()

	return fencelock.Do(ctx, locker, "invoices/"+invoice, func(ctx context.Context, lease *fencelock.Lease) error {
		return charge(ctx, lease.Token()) // ctx ends with whichever lock ends first
	})
}
