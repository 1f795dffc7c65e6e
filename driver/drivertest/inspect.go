package drivertest

import (
	"strings"
	"time"

	"github.com/fencelock/fencelock/driver"
)

var inspectRules = []Rule{{
	Name:     "Inspect",
	Sentence: "Inspect tells who holds a key; a key that nobody holds gives a Status without Holders, and nil.",
	check: func(r *fixture) {
		a, b := r.clients()
		key := r.key()
		r.waitFree(a, key, 0)
		g := r.mustLock(a, key)
		r.wantShown(b, g, r.Name(), 0)
		w := r.startWait(b, key)
		r.waitQueued(a, key, 1)
		if n := r.mustInspect(a, key).Waiters; n < 0 && r.h.Want.Features.Has(driver.Fair) {
			r.Errorf("a fair server knows its queue, but Waiters is %d", n)
		}
		r.wantShown(b, g, r.Name(), 1)
		r.mustRelease(a, g)
		g = r.waitGranted(w, r.slack, "released")
		r.wantShown(a, g, r.Name(), 0)
		r.mustRelease(b, g)
		r.waitFree(a, key, r.slack)
		r.waitFree(b, key, r.slack)
	},
}, {
	Name:     "InspectShowsHolder",
	Sentence: "Inspect shows Identity and Meta of the holder's request: any UTF-8 up to MaxIdentityLen and MaxMetaLen bytes, possibly empty.",
	check: func(r *fixture) {
		a, b := r.clients()
		for _, meta := range []string{
			"", "host-1/4711 worker", `{"pid":1,"q":"\"'"}`, "Zürich 東京 🔒", "two\nlines\ttab\x00nul\r", "100%d {a} * \\",
			strings.Repeat("m", driver.MaxMetaLen),
		} {
			key := r.key()
			req := r.request(key)
			req.Identity, req.Meta = strings.ReplaceAll(meta[:min(len(meta), driver.MaxIdentityLen)], "\x00", ""), meta
			g := r.mustAcquire(a, req)
			r.wantShownWithMeta(b, g, req.Identity, meta, 0)
			r.mustRelease(a, g)
		}
		key := r.key() // a waiter takes its own Meta along
		g := r.mustLock(a, key)
		req := r.request(key)
		req.Identity = "the waiter's"
		w := r.startWaitFor(b, req)
		r.waitQueued(a, key, 1)
		r.mustRelease(a, g)
		g = r.waitGranted(w, r.slack, "released")
		r.wantShown(a, g, req.Identity, 0)
		r.mustRelease(b, g)
	},
}}

// wantShown requires that Inspect agrees with a grant that is held.
func (r *fixture) wantShown(b driver.Backend, g driver.Grant, identity string, waiters int) {
	r.wantShownWithMeta(b, g, identity, "", waiters)
}

func (r *fixture) wantShownWithMeta(b driver.Backend, g driver.Grant, identity, meta string, waiters int) {
	s := r.mustInspect(b, g.Key)
	if !s.Held() {
		r.Errorf("Inspect says %+v, want %s with token %v", s, g.AttemptID, g.Token)
		return
	}
	r.wantHolder("Inspect", s, g, identity, meta)
	if s.Waiters >= 0 && s.Waiters != waiters {
		r.Errorf("Inspect counts %d waiters, want %d", s.Waiters, waiters)
	}
}

// wantHolder requires that a status agrees with the grant of who holds the lock.
func (r *fixture) wantHolder(said string, s driver.Status, g driver.Grant, identity, meta string) {
	if h := s.Holders[0]; len(s.Holders) > 1 || s.Key != g.Key || h.AttemptID != g.AttemptID || h.Token != g.Token || h.Identity != identity || h.Meta != meta {
		r.Errorf("%s says %+v, want %s with token %v, identity %q and meta %q", said, s, g.AttemptID, g.Token, identity, meta)
	}
	if s.Holders[0].Left <= 0 || s.Holders[0].Left > g.TTL+time.Second {
		r.Errorf("%s says that %v is left of %v", said, s.Holders[0].Left, g.TTL)
	}
}
