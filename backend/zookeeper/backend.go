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
	app    conn        // the application's connection; nil: each session makes its own
	plain  atomic.Bool // the server knows no containers

	unwritable  atomic.Bool // we may not write to the locks' nodes
	undeletable atomic.Bool // nor delete them
	parents     *parents
	servers     *serverHistory
	contact     *address.Contact

	closing context.Context // done when Close begins
	stop    func()
	running sync.WaitGroup // tasks and sessions

	mu         sync.Mutex
	closed     bool
	sessions   map[time.Duration]*session // by class
	attempts   map[attemptKey]*attempt
	tombstones attempts.Tombstones[attemptKey]
}

var _ driver.Backend = (*backend)(nil)

func newBackend(conf config) *backend {
	b := &backend{
		config:   conf,
		root:     conf.chroot + "/" + conf.namespace,
		sessions: make(map[time.Duration]*session),
		attempts: make(map[attemptKey]*attempt),
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

// closeTimeout bounds how long Close waits for what it has ended: calls of an application's
// connection that has no server. All else ends sooner, see session.close.
const closeTimeout = time.Second

// Close ends calls under way and the connections; it releases no grant.
func (b *backend) Close() error {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.stop()
	b.parents.stop()
	ended := make(chan struct{})
	go func() {
		b.running.Wait()
		close(ended)
	}()
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	}
	return nil
}
