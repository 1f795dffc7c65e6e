package mem

import (
	"context"
	"slices"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// Release ends the grant or the position of g.AttemptID, and remembers the attempt, also
// when it found nothing: the Acquire that it cleans up after may be still to come.
func (b *backend) Release(ctx context.Context, g driver.Grant) error {
	return b.send(ctx, OpRelease, g.Key, g.TTL, func(bool) error { return b.release(g) })
}

func (b *backend) release(g driver.Grant) error {
	s := b.space
	s.mu.Lock()
	defer s.unlock()
	s.tombstones.Add(g.AttemptID)
	k := s.keys[b.id(g.Key)]
	if k == nil {
		return driver.ErrNotHeld
	}
	now := time.Now()
	k.settle(now)
	if c := k.heldBy(g.AttemptID, g.Token); c != nil {
		c.released = true
		k.holder = nil
		k.settle(now)
		return nil
	}
	if c := k.waiter(g.AttemptID); c != nil {
		c.released = true
		close(c.turn)
		k.queue = slices.DeleteFunc(k.queue, func(x *claim) bool { return x == c })
		k.settle(now)
	}
	return driver.ErrNotHeld
}
