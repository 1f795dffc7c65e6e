// Package cluster is the client of a Redis Cluster: which node has which slot, how a script about one key gets to it,
// what its answer is worth, and notifications. It knows nothing of locks. Package redis uses it.
package cluster

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/driver/address"
)

// Config says how a Cluster is reached.
type Config struct {
	// Seeds are addresses of nodes. One of them that answers is enough.
	Seeds []string

	// Options are those of connections to the node at an address.
	Options func(addr string) goredis.Options

	// Contact is told when the node at an address cannot be reached, and when it can again.
	Contact func(addr string) *address.Contact

	// FailedOver is called when a master is no master any more: some of what it has answered may be lost. Nor may
	// notifications have come since. It does not block.
	FailedOver func(addr string)
}

// Cluster is a Redis Cluster. Its methods are safe for concurrent use.
type Cluster struct {
	conf    Config
	closing context.Context
	stop    context.CancelFunc
	running sync.WaitGroup // watch, and the ends of peers

	slots      atomic.Pointer[slotMap] // nil before Find
	silence    atomic.Int64            // a time.Duration: see Silence
	refreshing chan struct{}           // full while the map is asked for
	wanted     chan struct{}           // the map may be old; capacity 1
	ear        ear

	mu      sync.Mutex
	peers   map[string]*peer     // by address
	doubts  map[string]time.Time // when an address was last in doubt, if it has told nothing since
	changed chan struct{}        // closed and made again with each new map
	closed  bool
}

// defaultSilence is half of the shortest node timeout that is of any use, where the nodes do not tell theirs.
const defaultSilence = 500 * time.Millisecond

// New makes the client of a Cluster. It does not connect: see Find. Requests under way end when closing does.
func New(closing context.Context, conf Config) *Cluster {
	c := &Cluster{
		conf: conf, refreshing: make(chan struct{}, 1), wanted: make(chan struct{}, 1),
		peers: map[string]*peer{}, doubts: map[string]time.Time{}, changed: make(chan struct{}),
	}
	c.closing, c.stop = context.WithCancel(closing)
	c.silence.Store(int64(defaultSilence))
	c.ear.cluster, c.ear.checks = c, make(chan struct{}, 1)
	return c
}

// Masters are those that have slots, in the order of their IDs.
func (c *Cluster) Masters() []Master {
	if m := c.slots.Load(); m != nil {
		return slices.Clone(m.masters)
	}
	return nil
}

// Replicas are the addresses of nodes that have no slots, as far as they are known.
func (c *Cluster) Replicas() []string {
	if m := c.slots.Load(); m != nil {
		return slices.Clone(m.replicas)
	}
	return nil
}

// Silence is half of the time for which a node is silent before the others may give it up.
func (c *Cluster) Silence() time.Duration { return time.Duration(c.silence.Load()) }

// SetNodeTimeout notes the least cluster-node-timeout of the nodes.
func (c *Cluster) SetNodeTimeout(least time.Duration) { c.silence.Store(int64(least / 2)) }

// adopt has a map take the place of the last one, was, and begins what follows from that. If that is not the last one any
// more, since a redirection has changed it meanwhile, adopt does nothing and returns false.
func (c *Cluster) adopt(was, next *slotMap) bool {
	gone, done := c.replace(was, next)
	for _, addr := range gone {
		c.ear.leave(addr)
		c.conf.FailedOver(addr)
	}
	return done
}

// replace returns the addresses of the masters that are none any more.
func (c *Cluster) replace(was, next *slotMap) (gone []string, done bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || !c.slots.CompareAndSwap(was, next) {
		return nil, false
	}
	close(c.changed)
	c.changed = make(chan struct{})
	for _, x := range next.masters {
		if p := c.peers[x.Addr]; p != nil && x.ID != "" {
			p.listed = true
		}
	}
	if was == nil {
		return nil, true
	}
	for _, x := range was.masters {
		if _, there := next.at(x.Addr); there || x.ID == "" {
			continue // one of which only a redirection has told may be newer than what is asked
		}
		gone = append(gone, x.Addr)
		if p := c.peers[x.Addr]; p != nil {
			c.retireLocked(p)
		}
	}
	return gone, true
}

// awaitChange returns a channel that is closed when the map is not m any more.
func (c *Cluster) awaitChange(m *slotMap) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.slots.Load() != m {
		done := make(chan struct{})
		close(done)
		return done
	}
	return c.changed
}

// Doubt notes that the node at an address cannot be reached, or has said that it may be no master any more.
func (c *Cluster) Doubt(addr string) {
	c.mu.Lock()
	c.doubts[addr] = time.Now()
	c.mu.Unlock()
	c.want()
	c.ear.check(addr)
}

// answered notes that the node at an address has told something.
func (c *Cluster) answered(addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.doubts, addr)
}

// doubtFor is how long a node in doubt is asked for nothing that others can tell.
const doubtFor = 2 * time.Second

// someMaster is the address of one of the masters, by chance: of one that is not in doubt, if there is one, and not
// the one at an address, if there is another.
func (c *Cluster) someMaster(but string) (addr string) {
	m := c.slots.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	best := -1
	for _, i := range rand.Perm(len(m.masters)) {
		x, rank := m.masters[i].Addr, 0
		if time.Since(c.doubts[x]) > doubtFor {
			rank += 2
		}
		if x != but {
			rank++
		}
		if rank > best {
			addr, best = x, rank
		}
	}
	return addr
}

// want has the map asked for soon.
func (c *Cluster) want() {
	select {
	case c.wanted <- struct{}{}:
	default: // it will be
	}
}

// Close ends requests under way and the connections, and waits for both.
func (c *Cluster) Close() {
	c.stop()
	c.mu.Lock()
	c.closed = true
	for _, p := range c.peers {
		c.retireLocked(p)
	}
	c.mu.Unlock()
	c.ear.close()
	c.running.Wait()
}

// jitter is between half of d and d, so that clients that began together do not go on together.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }
