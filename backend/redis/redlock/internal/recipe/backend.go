// Package recipe makes of N nodes a lock: it is the driver.Backend of redlock://, over whatever
// implements wire.Node. The rules by which answers are counted are in package vote.
//
// It has no goroutine of its own. What goes on after a call has returned (a key that a failed try
// left behind, an answer that comes late) is done by the callbacks of nodes: each request
// is bounded in time, and all end when the nodes are closed.
package recipe

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/script"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/vote"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

// Config is what a Backend is made of.
type Config struct {
	Nodes   []wire.Node // all of the list, fit or not; in the same order for each client
	Channel string      // where nodes publish notices for this client
	Info    driver.Info // of which Tokenless changes what is done

	// Edition tells apart the lists that requests are sent under: it has changed by the time that a node is
	// sent one under another list, for good. Nil is for nodes whose list never changes. It does not
	// block.
	Edition func() uint64

	// Trip is about how long a node takes to answer. Nil, or zero from it, is half a millisecond.
	Trip func() time.Duration
	// Rand returns a random time from nothing to less than max, which is more. Nil is rand.N.
	Rand func(max time.Duration) time.Duration
	// Close closes the nodes. It may be nil.
	Close func()
}

// Backend locks on a majority of nodes. It is safe for concurrent use.
type Backend struct {
	nodes   []wire.Node
	quorum  int
	channel string
	info    driver.Info
	edition func() uint64
	end     func()

	closing context.Context // done once Close was called
	cancel  context.CancelFunc
	once    sync.Once

	tries    atomic.Uint64 // the number of the last try, of all attempts
	registry registry
	floors   floors
	pace     pace
	fairness fairness
	endQueue endQueue
	listings listings
	calls    calls
}

var _ driver.Backend = (*Backend)(nil)

// New makes a Backend. It panics if the nodes are more than a list can have.
func New(c Config) *Backend {
	if len(c.Nodes) == 0 || len(c.Nodes) > vote.MaxNodes {
		panic("redlock: a list has 1 to 7 nodes")
	}
	b := &Backend{
		nodes: c.Nodes, quorum: vote.Quorum(len(c.Nodes)), channel: c.Channel, info: c.Info, end: c.Close, edition: c.Edition,
	}
	if b.edition == nil {
		b.edition = func() uint64 { return 0 }
	}
	b.pace.trip, b.pace.random = c.Trip, c.Rand
	if b.pace.random == nil {
		b.pace.random = rand.N[time.Duration]
	}
	b.closing, b.cancel = context.WithCancel(context.Background())
	b.calls.closing = b.closing.Done()
	b.endQueue.nodes, b.endQueue.closing = b.nodes, b.closing
	return b
}

// Info says what the backend is.
func (b *Backend) Info() driver.Info { return b.info }

// Close ends the calls under way, and closes the nodes.
func (b *Backend) Close() error {
	b.once.Do(func() {
		b.cancel()
		if b.end != nil {
			b.end()
		}
	})
	return nil
}

var errClosed = errors.New("redlock: the client is closed")

// floors are the highest counts that this client has seen, by shard. A Take asks for one more, so
// that all nodes answer with the same count, and one round is enough. They are hints: no order of
// tokens rests on them.
type floors [script.Shards]atomic.Uint64

// next is what a Take of a key should make of the counter, at least.
func (f *floors) next(key string) uint64 { return f[script.Shard(key)].Load() + 1 }

// observe records the count of a key's shard.
func (f *floors) observe(key string, count uint64) {
	highest := &f[script.Shard(key)]
	for old := highest.Load(); count > old; old = highest.Load() {
		if highest.CompareAndSwap(old, count) {
			return
		}
	}
}
