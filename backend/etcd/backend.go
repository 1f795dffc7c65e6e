package etcd

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/fencelock/fencelock/backend/etcd/internal/cluster"
	"github.com/fencelock/fencelock/backend/etcd/internal/session"
	"github.com/fencelock/fencelock/driver"
)

// backend implements driver.Backend for one etcd cluster. It knows how a claim is made, renewed, deleted and
// swept. Everything else is below: the connection, which knows no lease, and on it the sessions, which know
// no lock; and beside it, each with a part of what a lock is, those that it is made of here.
type backend struct {
	lister   // Inspect and ListHeld
	info     driver.Info
	registry registry
	queue    queue
	sessions session.Sessions

	checkLimit atomic.Int64 // how many claims one request asks about
	disconnect func() error // nil if the client is the application's
	closeOnce  sync.Once
	closeErr   error
}

var _ driver.Backend = (*backend)(nil)

func newBackend(conn *cluster.Conn, ns namespace) *backend {
	b := &backend{
		lister: lister{conn, ns},
		info: driver.Info{
			Name:      "etcd",
			Guarantee: driver.Linearizable,
			Features:  driver.Fair | driver.Push,
			Namespace: string(ns),
			MinTTL:    time.Second,
			MaxTTL:    24 * time.Hour,
		},
		registry: registry{ns: ns, names: make(map[string]*attempt)},
	}
	b.queue = queue{conn: conn, ns: ns, registry: &b.registry}
	b.sessions.Config = session.Config{
		Conn: conn, EpochKey: ns.epochKey,
		Died: b.died, Evicted: b.evicted, Recheck: b.recheck, Sweep: b.sweep, InUse: b.registry.inUse,
	}
	b.checkLimit.Store(maxCheck)
	return b
}

func (b *backend) Info() driver.Info { return b.info }

// Close ends calls under way and the connections. It releases no grant: sessions that have none are ended, so
// that the server forgets them at once, the others with their TTL.
func (b *backend) Close() error {
	b.closeOnce.Do(func() {
		b.conn.Close()
		b.sessions.EndIdle()
		if b.disconnect != nil {
			b.closeErr = b.disconnect()
		}
	})
	return b.closeErr
}
