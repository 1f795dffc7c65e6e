// Package sentinel finds the master of a group of Redis servers by its Sentinels, and notices when another server
// becomes the master. It takes the word of a majority of them only. It knows nothing of locks.
package sentinel

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
)

// Config says which master is meant, and how its Sentinels are reached.
type Config struct {
	Name    string          // of the master, as the Sentinels have it
	Addrs   []string        // of Sentinels; they tell of others
	Options goredis.Options // for connections to Sentinels, without where they go

	// Moved is told where the master is: when that is known for the first time, and whenever it changes. It is told
	// of no place, "", and then of the same address again, if the master has become the master again after another was.
	// Calls come one after the other.
	Moved func(addr string)

	// Warn writes a line for operators. It may be nil, and does not block.
	Warn func(text string, args ...any)

	// Explain says more of why a server at an address, a Sentinel or the master, could not be asked, when a backend
	// is opened. It may be nil, and may connect.
	Explain func(ctx context.Context, addr string, err error) error
}

// Watch is a node.Place: the master that the Sentinels name.
type Watch struct {
	conf    Config
	closing context.Context
	stop    context.CancelFunc
	running sync.WaitGroup // rounds, and what runs from Start to Close

	pushed  chan struct{} // a Sentinel names a master that is new; capacity 1
	doubted chan struct{} // the master may be another; capacity 1

	word atomic.Pointer[word] // the latest of a majority; nil before there is one

	mu       sync.Mutex // held while word changes, too
	peers    []*peer    // the configured ones first
	rounds   int        // how many have begun
	current  *round     // under way; nil if there is none
	patience time.Duration
	listed   time.Time // when the Sentinels were last asked about each other
	closed   bool      // no round and no peer begins
}

// word is what a majority has said.
type word struct {
	majority
	round     int           // in which it has said so
	asked     time.Time     // when that began
	downAfter time.Duration // the shortest that they told
	changes   int           // how often the master has changed; also counted if it has changed to another and back
}

var _ node.Place = (*Watch)(nil)

// New makes a watch. It does not connect: Start does. It ends with closing, at the latest; Close waits for that.
func New(closing context.Context, c Config) *Watch {
	w := &Watch{conf: c, pushed: make(chan struct{}, 1), doubted: make(chan struct{}, 1), patience: leastPatience}
	w.closing, w.stop = context.WithCancel(closing)
	return w
}

// Where returns the address of the master. What a majority has said within the last second will do: run asks again
// when there is a reason.
func (w *Watch) Where(ctx context.Context) (string, error) {
	if now := w.word.Load(); now != nil && time.Since(now.asked) < time.Second {
		return now.master, nil
	}
	now, err := w.decided(ctx)
	if err != nil {
		return "", err
	}
	return now.master, nil
}

// Vouch returns nil if a majority has named addr as the master after the call, and it has not changed since the
// watch knows it.
//
// What remains: another server may become the master between the word of the majority and the caller's use of its
// lock. The Sentinel that leads a fail-over names the new master once that has been promoted, and the others do when
// they hear of it, some 50 ms later; the old master, if it lives, takes writes all the time. A Sentinel that has lost
// its file, or that an operator resets, may name an old master until it has heard from another, which takes about
// two seconds. And none of this says that the new master has what the old one had.
func (w *Watch) Vouch(ctx context.Context, addr string) error {
	before := w.word.Load()
	if before == nil || before.master != addr {
		return elsewhere(addr, before)
	}
	now, err := w.decided(ctx)
	switch {
	case err != nil:
		return err
	case now.changes != before.changes:
		return elsewhere(addr, now)
	}
	return nil
}

// Silence is half of the time after which the first Sentinel calls the master down: no fail-over begins sooner than
// that after the master has answered, unless an operator orders it. It is zero, so that each answer needs Vouch,
// when no majority has been heard for so long: then this client may be cut off from the Sentinels, together with a
// master that they have replaced.
func (w *Watch) Silence() time.Duration {
	now := w.word.Load()
	if now == nil || time.Since(now.asked) > now.good() {
		return 0
	}
	return now.downAfter / 2
}

// good is for how long a word is good without another.
func (w *word) good() time.Duration { return max(w.downAfter, 3*w.poll()) }

// poll is about how long it takes until the Sentinels are asked again.
func (w *word) poll() time.Duration { return min(max(w.downAfter/3, time.Second), 10*time.Second) }

// Close ends the connections, and waits for what is under way.
func (w *Watch) Close() {
	w.stop()
	w.mu.Lock()
	w.closed = true
	peers := w.peers
	w.mu.Unlock()
	for _, p := range peers {
		p.close()
	}
	w.running.Wait()
}
