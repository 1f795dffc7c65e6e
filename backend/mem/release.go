package mem

import (
	"context"
	"slices"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// Release ends the grant or the place of g.Owner, and remembers the owner, also
// when it found nothing: the Acquire that it cleans up after may be still to come.
func (b *backend) Release(ctx context.Context, g driver.Grant) error {
	if err := b.usable(ctx); err != nil {
		return err
	}
	s := b.space
	s.mu.Lock()
	defer s.unlock()
	s.dead.Add(g.AttemptID)
	l := s.lines[b.id(g.Key)]
	if l == nil {
		return driver.ErrNotHeld
	}
	now := time.Now()
	l.settle(now)
	if c := l.held(g.AttemptID, g.Token); c != nil {
		c.released = true
		l.holder = nil
		l.settle(now)
		return nil
	}
	if c := l.place(g.AttemptID); c != nil {
		c.released = true
		close(c.turn)
		l.queue = slices.DeleteFunc(l.queue, func(x *claim) bool { return x == c })
		l.settle(now)
	}
	return driver.ErrNotHeld
}
