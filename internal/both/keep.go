package both

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// hold keeps the old lock alive while the attempt waits for the new one, which may take
// longer than any TTL. Its context ends with the caller's, or when the old lock has gone.
type hold struct {
	ctx    context.Context //nolint:containedctx // of the wait
	cancel context.CancelCauseFunc
	done   sync.WaitGroup
	grant  driver.Grant // owned by the goroutine until done
	gone   bool

	mu    sync.Mutex
	heard time.Time // from the new server
}

func (p *Pair) keep(ctx context.Context, g driver.Grant, early *early) *hold {
	h := &hold{grant: g, heard: time.Now()}
	h.ctx, h.cancel = context.WithCancelCause(ctx)
	early.during(h.cancel)
	h.done.Go(func() { h.gone = h.renew(p.old) }) //nolint:contextcheck // it has the hold's
	return h
}

// end stops it, and returns the grant as last renewed, and whether it has gone.
func (h *hold) end() (driver.Grant, bool) {
	h.cancel(nil)
	h.done.Wait()
	return h.grant, h.gone
}

// waits says that the new server has told that the attempt waits.
func (h *hold) waits() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heard = time.Now()
}

// isSilent reports whether the new server should have answered by now. Then the old lock is left
// to expire: a client that cannot reach the new server must not keep the others from working.
func (h *hold) isSilent() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Since(h.heard) > h.grant.TTL/2+h.grant.TTL/4
}

// renew renews until the context ends, each third of a TTL, and sooner after a failure. It
// returns whether the lock has gone. One that was not renewed in time is given up, though it
// may still be there.
func (h *hold) renew(old driver.Backend) bool {
	t := time.NewTimer(time.Until(h.grant.Start.Add(h.grant.TTL / 3)))
	defer t.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return errors.Is(context.Cause(h.ctx), errGone)
		case <-t.C:
		}
		if h.isSilent() {
			if left := time.Until(h.grant.Start.Add(h.grant.TTL)); left > 0 {
				t.Reset(min(left, h.grant.TTL/16))
			} else {
				h.cancel(errGone)
			}
			continue
		}
		once, stop := context.WithTimeout(h.ctx, h.grant.TTL/4)
		r := old.Renew(once, []driver.Grant{h.grant})[0]
		stop()
		switch {
		case r.Err == nil:
			h.grant.Start, h.grant.TTL = r.Start, r.TTL
			t.Reset(time.Until(r.Start.Add(r.TTL / 3)))
			continue
		case h.ctx.Err() != nil:
			continue
		case errors.Is(r.Err, driver.ErrNotHeld), !time.Now().Before(h.grant.Start.Add(h.grant.TTL)):
			h.cancel(errGone)
		}
		t.Reset(h.grant.TTL / 16)
	}
}

// errGone ends a wait because the old lock has gone.
var errGone = errors.New("the old lock was lost during the wait for the new one")

// early is Request.Lost of the old lock. Until the attempt has both, its loss ends the
// attempt, which the core makes again; only after that it is the lease's.
type early struct {
	tell func(error)

	mu     sync.Mutex
	both   bool
	gone   bool
	cancel context.CancelCauseFunc
}

func (e *early) lost(why error) {
	e.mu.Lock()
	tell := e.both
	if !tell {
		e.gone = true
		if e.cancel != nil {
			e.cancel(errGone)
		}
	}
	e.mu.Unlock()
	if tell {
		e.tell(why)
	}
}

// during says what ends the wait for the new lock.
func (e *early) during(cancel context.CancelCauseFunc) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cancel = cancel
	if e.gone {
		cancel(errGone)
	}
}

// granted says that the attempt has both, unless it returns false.
func (e *early) granted() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.both = !e.gone
	return e.both
}
