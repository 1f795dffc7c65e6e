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
	trip    func() time.Duration
	random  func(time.Duration) time.Duration
	end     func()

	closing context.Context // done once Close was called
	cancel  context.CancelFunc
	once    sync.Once

	took     atomic.Int64  // a time.Duration: see roundTrip
	tries    atomic.Uint64 // the number of the last try, of all attempts
	ledger   ledger
	floors   floors
	fairness fairness
	endQueue endQueue
	listings listings
	calls    sync.Pool // of *call
}

var _ driver.Backend = (*Backend)(nil)

// New makes a Backend. It panics if the nodes are more than a list can have.
func New(c Config) *Backend {
	if len(c.Nodes) == 0 || len(c.Nodes) > vote.MaxNodes {
		panic("redlock: a list has 1 to 7 nodes")
	}
	b := &Backend{
		nodes: c.Nodes, quorum: vote.Quorum(len(c.Nodes)), channel: c.Channel, info: c.Info, trip: c.Trip, end: c.Close,
		edition: c.Edition, random: c.Rand,
	}
	if b.edition == nil {
		b.edition = func() uint64 { return 0 }
	}
	if b.random == nil {
		b.random = rand.N[time.Duration]
	}
	b.closing, b.cancel = context.WithCancel(context.Background())
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

// roundTrip is about how long a majority takes to answer.
func (b *Backend) roundTrip() time.Duration {
	if d := time.Duration(b.took.Load()); d > 0 {
		return d
	}
	if b.trip != nil {
		if d := b.trip(); d > 0 {
			return d
		}
	}
	return time.Millisecond / 2
}

// measured averages how long granted tries took. Of two concurrent calls one may be lost.
func (b *Backend) measured(d time.Duration) {
	old := b.took.Load()
	if old == 0 {
		old = int64(d)
	}
	b.took.Store(old + (int64(d)-old)/8)
}

// lateAfter is after how long a node that could answer would have, most likely.
func (b *Backend) lateAfter() time.Duration { return max(20*b.roundTrip(), 20*time.Millisecond) }

// onNode is the TTL as a node is told it: longer than that of the lease by what the clocks of both
// may differ in rate, and by the rounding of a node that counts milliseconds. So a lease that is
// counted from before the request was sent ends first with its holder.
func onNode(ttl time.Duration) time.Duration { return ttl + ttl/100 + 2*time.Millisecond }

// A call is what a call that waits for nodes needs for it: one channel, one timer. They are used
// again, by this backend only, since those of a testing/synctest bubble must stay in it.
type call struct {
	signal chan struct{} // holds one signal, so that raise never blocks
	timer  *time.Timer
}

func (b *Backend) newCall() *call {
	if w, ok := b.calls.Get().(*call); ok {
		return w
	}
	w := &call{signal: make(chan struct{}, 1), timer: time.NewTimer(time.Hour)}
	w.timer.Stop()
	return w
}

// done gives a call back. Nobody may ring any more.
func (b *Backend) done(w *call) {
	w.timer.Stop()
	select {
	case <-w.signal:
	default:
	}
	b.calls.Put(w)
}

// raise wakes the call that waits for a signal, if there is one.
func raise(signal chan struct{}) {
	if signal == nil {
		return
	}
	select {
	case signal <- struct{}{}:
	default: // it is about to wake up
	}
}

// reason is why a call was woken.
type reason uint8

const (
	signaled reason = iota
	timeUp
	ctxEnded
	closed
)

// wait sleeps until the signal, the timer, or the end of ctx or of the backend.
func (b *Backend) wait(ctx context.Context, w *call) reason {
	select {
	case <-w.signal:
		return signaled
	case <-w.timer.C:
		return timeUp
	case <-ctx.Done():
		return ctxEnded
	case <-b.closing.Done():
		return closed
	}
}

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
