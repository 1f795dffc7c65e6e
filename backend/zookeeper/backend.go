package zookeeper

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/address"
	"github.com/fencelock/fencelock/driver/attempts"
)

// backend implements driver.Backend for one ensemble.
type backend struct {
	config config
	root   string // the namespace's node
	info   driver.Info
	plain  atomic.Bool // the server knows no containers

	unwritable  atomic.Bool // we may not write to the locks' nodes
	undeletable atomic.Bool // nor delete them
	parents     *parents
	servers     *serverHistory
	contact     *address.Contact

	closing context.Context // done when Close begins
	stop    func()
	running sync.WaitGroup // tasks and sessions

	mu       sync.Mutex
	closed   bool
	sessions map[time.Duration]*session // by class
	ledger   attempts.Ledger[*attempt]
}

var _ driver.Backend = (*backend)(nil)

func newBackend(conf config) *backend {
	if conf.connect == nil {
		conf.connect = newConn
	}
	b := &backend{
		config:   conf,
		root:     conf.chroot + "/" + conf.namespace,
		sessions: make(map[time.Duration]*session),
		info: driver.Info{
			Name:      "zookeeper",
			Guarantee: driver.Linearizable,
			Features:  driver.Fair | driver.Push,
			Namespace: conf.namespace,
			MinTTL:    minTTL,
		},
	}
	b.servers = newServerHistory()
	b.contact = address.NewContact(conf.log)
	b.parents = newParents(func() { b.start(b.sweepParents) })
	closing, stop := context.WithCancelCause(context.Background())
	b.closing, b.stop = closing, func() { stop(errClosed) }
	return b
}

func (b *backend) Info() driver.Info { return b.info }

// Close ends calls under way and the connections; it releases no grant. Nothing that it waits for
// takes long: see session.close.
func (b *backend) Close() error {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.stop()
	b.parents.stop()
	b.running.Wait()
	return nil
}
