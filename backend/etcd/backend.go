package etcd

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/address"
	"github.com/fencelock/fencelock/driver/attempts"
)

// backend implements driver.Backend for one etcd cluster.
type backend struct {
	client        *clientv3.Client
	trouble       *trouble
	contact       *address.Contact
	disconnect    func() error // nil if the client is the application's
	proxied       bool         // it leads to a proxy: see detectProxy
	fullTimeout   bool         // a member has all the time that there is: see memberTimeout
	namespace     string
	info          driver.Info
	batch         batch
	watchStreamID atomic.Int64 // the stream for new watches; see watchStream
	checkLimit    atomic.Int64 // how many claims one request asks about
	roundTrip     atomic.Int64 // nanoseconds that the last new session's first request took

	mu       sync.Mutex
	sessions map[time.Duration]*opening // by TTL class
	ledger   attempts.Ledger[*attempt]
	names    map[string]*attempt // those of the ledger by the name of the claim on the server

	closing   context.Context // done when Close begins
	beginStop context.CancelFunc
	running   sync.WaitGroup // goroutines of sessions
	closeOnce sync.Once
	closeErr  error
}

var _ driver.Backend = (*backend)(nil)

var errClosed = errors.New("etcd: the backend is closed")

func (b *backend) Info() driver.Info { return b.info }

// Close ends calls under way and the connections. It releases no grant: sessions
// that have none are ended, so that the server forgets them at once, the others
// with their TTL.
func (b *backend) Close() error {
	b.closeOnce.Do(func() {
		b.mu.Lock() // from here on goLocked starts nothing
		b.beginStop()
		b.mu.Unlock()
		b.running.Wait()
		b.batch.wait()
		b.endIdleSessions()
		if b.disconnect != nil {
			b.closeErr = b.disconnect()
		}
	})
	return b.closeErr
}

// goLocked starts a goroutine for which Close waits, unless Close has begun.
// Called with mu held.
func (b *backend) goLocked(f func()) bool {
	if b.closing.Err() != nil {
		return false
	}
	b.running.Go(f)
	return true
}

func (b *backend) goUnlessClosed(f func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.goLocked(f)
}
