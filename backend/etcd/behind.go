package etcd

import (
	"context"
	"time"
)

// settling is how long a claim waits for the answer to the deletion of the one before it. That
// was sent at about the same time, so that it comes now, or something is wrong.
const settling = 10 * time.Millisecond

// before returns a claim of the same lock and session that was made before this one, if there is
// one: the holder's, where many callers of a client want one lock and one of them stands in
// line. There may be others before it. A claim has one of the first two names unless clients
// other than the core use the backend.
func (b *backend) before(c *claim) *claim {
	b.mu.Lock()
	defer b.mu.Unlock()
	first := b.firstName(c.key, c.session.id)
	for _, name := range []string{first, nextName(first, 1)} {
		if w := b.names[name]; w != nil && w != c && w.revision != 0 {
			return w
		}
	}
	return nil
}

// follows reports whether a claim that had exactly one before it, when it was made, is the
// first since w went, which this client knows from the answer to its own deletion, without a
// look.
//
// If w was deleted at a later revision than that which made c, it was there when c was made, and
// so was the one that was counted. The deletion was conditional on the revision that had made
// w, so it was no other's. If it was deleted earlier it was not counted, and another was; if it
// holds on, or nobody knows yet, the wait begins with a look, as any.
func (b *backend) follows(ctx context.Context, c, w *claim) bool {
	b.mu.Lock()
	if w.left == 0 && w.ending && !w.settled {
		if w.settles == nil {
			w.settles = make(chan struct{})
		}
		settles := w.settles
		b.mu.Unlock()
		late := time.NewTimer(settling)
		defer late.Stop()
		select {
		case <-settles:
		case <-late.C:
		case <-ctx.Done():
		}
		b.mu.Lock()
	}
	defer b.mu.Unlock()
	return c.revision != 0 && w.left > c.revision
}

// settle notes that the deletion of a claim has an outcome: the revision at which it went, or 0
// if it was not there, or that is not known.
func (b *backend) settle(c *claim, revision int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.left, c.settled = revision, true
	if c.settles != nil {
		close(c.settles)
		c.settles = nil
	}
}
