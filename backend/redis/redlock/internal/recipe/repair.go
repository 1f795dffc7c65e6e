package recipe

import (
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

// leastRepair is what must be left of a lease for a repair: less would be over before it helps.
const leastRepair = 20 * time.Millisecond

// repair gives a node the key of a lease that a majority has kept, for what is left since the
// renewal that said so began. Without it, a lease that is renewed for long enough is held by a bare
// majority in the end, and lost when one more node restarts.
//
// The answer counts nowhere. The node says yes to the next renewal, as to any.
//
// Repair against Release: the claim's mutex decides. If Release is first, nothing is sent. If it is
// second, it knows of the repair, and has the node keep the try out, for a repair may be a late
// packet like any.
func (b *Backend) repair(c *claim, node int, start time.Time) {
	c.mu.Lock()
	left := time.Until(start.Add(onNode(c.ttl)))
	if !c.held || c.released || c.repairs.Has(node) || c.due[node] > 0 || left < leastRepair {
		c.mu.Unlock()
		return
	}
	c.repairs = c.repairs.With(node)
	c.due[node]++
	c.been = c.been.With(node)
	r := wire.Repair{
		Lease: wire.Lease{Key: c.key, ID: c.id, TTL: left, Token: c.token},
		Meta:  c.meta, Channel: b.channel,
	}
	c.mu.Unlock()
	b.nodes[node].Send(b.closing, r, min(left, driver.RequestTimeout(c.ttl)), func(_ any, err error) {
		c.mu.Lock()
		c.repairs = c.repairs.Without(node)
		c.mu.Unlock()
		c.settled(node, err)
	})
}
