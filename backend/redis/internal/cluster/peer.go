package cluster

import (
	"context"
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
)

// peer is a node of the Cluster, at one address.
type peer struct {
	addr string
	node *node.Node

	users  sync.WaitGroup // who use it; it grows only while the peer is in Cluster.peers
	listed bool           // as a master, by nodes; guarded by Cluster.mu
	used   time.Time      // the last time; guarded by Cluster.mu
}

// use returns the peer at an address, which is made if need be. Call done when it is not used any more. It is nil
// once Close has begun.
func (c *Cluster) use(addr string) (p *peer, done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil
	}
	p = c.peers[addr]
	if p == nil {
		p = c.newPeer(addr)
		if m := c.slots.Load(); m != nil {
			x, is := m.at(addr)
			p.listed = is && x.ID != ""
		}
		c.peers[addr] = p
	}
	p.used = time.Now()
	p.users.Add(1)
	return p, p.users.Done
}

func (c *Cluster) newPeer(addr string) *peer {
	return &peer{addr: addr, node: node.New(c.closing, node.Config{
		Options: c.conf.Options(addr), Contact: c.conf.Contact(addr), Place: fixed{c, addr}, DirectLimit: 8, Senders: 2,
	})}
}

// retireLocked removes a peer. Requests under way end at once: they have no answer. It needs c.mu.
func (c *Cluster) retireLocked(p *peer) {
	delete(c.peers, p.addr)
	c.running.Go(func() {
		p.node.Moved("")
		p.users.Wait() // nobody new comes, since c.peers does not have it
		p.node.Close()
	})
}

// unusedAfter is how long a peer is kept that is no master, as far as the map says: a seed, a replica that was asked, or
// where a redirection has led to.
const unusedAfter = time.Minute

// tidy retires peers that are no masters, and have not been used for some time.
func (c *Cluster) tidy() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.peers {
		if !p.listed && time.Since(p.used) > unusedAfter {
			c.retireLocked(p)
		}
	}
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

// With calls f with the node at an address, which is kept meanwhile.
func (c *Cluster) With(addr string, f func(*node.Node) error) error {
	p, done := c.use(addr)
	if p == nil {
		return node.ErrClosed
	}
	defer done()
	return f(p.node)
}

// Nodes are the masters in the order of their IDs, and the stamp of the map: it is the same as long as each slot has
// the same master.
func (c *Cluster) Nodes() (all []*node.Node, stamp string) {
	m := c.slots.Load()
	for _, x := range m.masters {
		if p, done := c.use(x.Addr); p != nil {
			all = append(all, p.node)
			done()
		}
	}
	return all, m.stamp()
}
