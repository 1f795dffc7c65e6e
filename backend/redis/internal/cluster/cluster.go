// Package cluster is the client of a Redis Cluster: which node has which slot, how a script about one key gets to it,
// what its answer is worth, and notifications. It knows nothing of locks. Package redis uses it.
package cluster

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
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

	// FailedOver is called when a master is no master any more: some of what it has answered may be lost. It does
	// not block.
	FailedOver func(addr string)
}

// Cluster is a Redis Cluster. Its methods are safe for concurrent use.
type Cluster struct {
	conf     Config
	closing  context.Context
	stop     context.CancelFunc
	peers    peers
	listener listener

	slots      atomic.Pointer[slotMap] // nil before Find
	silence    atomic.Int64            // a time.Duration: see Silence
	refreshing chan struct{}           // full while the map is asked for
	wanted     chan struct{}           // the map may be old; capacity 1
	old        atomic.Bool             // it is

	mu      sync.Mutex    // of changes of the map
	changed chan struct{} // closed and made again with each
}

// defaultSilence is half of the shortest node timeout that is of any use, where the nodes do not tell theirs.
const defaultSilence = 500 * time.Millisecond

// New makes the client of a Cluster. It does not connect: see Find. Requests under way end when closing does.
func New(closing context.Context, conf Config) *Cluster {
	c := &Cluster{conf: conf, refreshing: make(chan struct{}, 1), wanted: make(chan struct{}, 1), changed: make(chan struct{})}
	c.closing, c.stop = context.WithCancel(closing)
	c.silence.Store(int64(defaultSilence))
	c.peers.byAddr, c.peers.doubts = map[string]*peer{}, map[string]time.Time{}
	c.peers.create = func(addr string) *node.Node {
		return node.New(c.closing, node.Config{
			Options: conf.Options(addr), Contact: conf.Contact(addr), Place: fixed{c, addr}, DirectLimit: 8, Senders: 2,
		})
	}
	c.listener.cluster, c.listener.checks = c, make(chan struct{}, 1)
	return c
}

// Masters are those that have slots, in the order of their IDs.
func (c *Cluster) Masters() []Master { return slices.Clone(c.slots.Load().masters) }

// Replicas are the addresses of nodes that have no slots.
func (c *Cluster) Replicas() []string { return slices.Clone(c.slots.Load().replicas) }

// Nodes are the masters in the order of their IDs, and the stamp of the map: it is the same as long as each slot has
// the same master.
func (c *Cluster) Nodes() (all []*node.Node, stamp string) {
	m := c.slots.Load()
	for _, x := range m.masters {
		_ = c.With(x.Addr, func(n *node.Node) error { // its error is that Close has begun
			all = append(all, n)
			return nil
		})
	}
	return all, m.stamp()
}

// With calls f with the node at an address, which is kept meanwhile, and returns its error.
func (c *Cluster) With(addr string, f func(*node.Node) error) error {
	p, done := c.peers.use(addr)
	if p == nil {
		return node.ErrClosed
	}
	defer done()
	return f(p.node)
}

// Silence is half of the time for which a node is silent before the others may give it up.
func (c *Cluster) Silence() time.Duration { return time.Duration(c.silence.Load()) }

// SetNodeTimeout notes the least cluster-node-timeout of the nodes.
func (c *Cluster) SetNodeTimeout(least time.Duration) { c.silence.Store(int64(least / 2)) }

// adopt has a map take the place of the last one, was, and begins what follows from that. If that is not the last one any
// more, since a redirection has changed it meanwhile, adopt does nothing and returns false.
func (c *Cluster) adopt(was, next *slotMap) bool {
	c.mu.Lock()
	if !c.slots.CompareAndSwap(was, next) {
		c.mu.Unlock()
		return false
	}
	close(c.changed)
	c.changed = make(chan struct{})
	c.mu.Unlock()
	for _, addr := range was.gone(next) {
		c.peers.retire(addr) // requests under way end at once, and find that the map has changed
		c.listener.leave(addr)
		c.conf.FailedOver(addr)
	}
	return true
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
	c.peers.doubt(addr)
	c.want()
	c.listener.check(addr)
}

// renew has the map asked for soon, since it is old.
func (c *Cluster) renew() {
	c.old.Store(true)
	c.want()
}

// want has somebody asked soon whether the map is old.
func (c *Cluster) want() {
	select {
	case c.wanted <- struct{}{}:
	default: // it will be
	}
}

// Close ends requests under way and the connections, and waits for both.
func (c *Cluster) Close() {
	c.stop()
	c.listener.close()
	c.peers.close()
}

// fixed is the place of a node's server in a Cluster: always the same address, while it is a master.
type fixed struct {
	cluster *Cluster
	addr    string
}

func (f fixed) Where(context.Context) (string, error) { return f.addr, nil }

func (f fixed) Vouch(ctx context.Context, addr string) error { return f.cluster.vouch(ctx, addr) }

func (f fixed) Silence() time.Duration { return f.cluster.Silence() }

func (f fixed) Doubt(addr string) { f.cluster.Doubt(addr) }
