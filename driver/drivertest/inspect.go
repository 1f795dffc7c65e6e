package drivertest

import (
	"context"
	"errors"
	"maps"
	"slices"
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
	// One that has just been granted may be counted for a moment more, where what says so has got lost.
	if s.Waiters >= 0 && s.Waiters != waiters && !r.until(r.slack, func() bool { return r.mustInspect(b, g.Key).Waiters == waiters }) {
		r.Errorf("Inspect counts %d waiters, want %d", r.mustInspect(b, g.Key).Waiters, waiters)
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

// Rules run side by side in one namespace, so each lists the keys under a prefix of its own, and under the
// empty prefix looks for its own only.
var listRules = []Rule{{
	Name: "ListHeld",
	Sentence: "ListHeld lists a lock that is held from before the first page is asked for until after the last has come, " +
		"with its holder, whichever client holds it; it does not list one that nobody held meanwhile.",
	check: func(r *fixture) {
		a, b := r.clients()
		prefix := r.key()
		if found := r.listAll(b, prefix, 100); len(found) > 0 {
			r.Errorf("ListHeld of keys that nobody has used says %+v", found)
		}
		held := []driver.Grant{r.mustLock(a, prefix+"/a"), r.mustLock(b, prefix+"/b")}
		req := r.request(prefix + "/c")
		req.Identity, req.Meta = "host-1/4711 Zürich", `{"job":"nightly"}`
		described := r.mustAcquire(a, req)
		waitedFor := r.mustLock(a, prefix+"/waited for")
		w := r.startWait(b, waitedFor.Key)
		r.waitQueued(a, waitedFor.Key, 1)
		handedOff := r.mustLock(a, prefix+"/handed off")
		next := r.startWait(b, handedOff.Key)
		r.waitQueued(a, handedOff.Key, 1)
		r.mustRelease(a, handedOff)
		handedOff = r.waitGranted(next, r.slack, "released")

		r.mustRelease(a, r.mustLock(a, prefix+"/released"))
		evicted := r.mustLock(a, prefix+"/evicted")
		r.mustEvict(b, evicted.Key)
		r.mustLockShort(r.client(), prefix+"/expired")
		r.waitFree(b, prefix+"/expired", r.ttl+r.slack)

		for _, c := range []driver.Backend{a, b, r.client()} {
			found := r.listAll(c, prefix, 100)
			for _, g := range append(slices.Clone(held), waitedFor, handedOff) {
				r.wantListed(found, g, r.Name(), "")
			}
			r.wantListed(found, described, req.Identity, req.Meta)
			if n := len(held) + 3; len(found) != n {
				r.Errorf("ListHeld lists %d locks where %d are held: %q", len(found), n, slices.Sorted(maps.Keys(found)))
			}
		}

		r.mustCancel(w)
		r.wantNotHeld(b, driver.Grant{Key: waitedFor.Key, AttemptID: w.req.AttemptID}, "a waiter")
		r.mustRelease(b, handedOff)
		r.mustRelease(b, held[1])
		for _, g := range []driver.Grant{held[0], described, waitedFor} {
			r.mustRelease(a, g)
		}
		if found := r.listAll(b, prefix, 100); len(found) > 0 {
			r.Errorf("ListHeld says %+v after all have been released", found)
		}
	},
}, {
	Name: "ListHeldOnlyPrefix",
	Sentence: "ListHeld lists the locks whose keys begin with the prefix, byte for byte, and no others; " +
		"an empty prefix stands for all keys of the namespace.",
	check: func(r *fixture) {
		a, b := r.clients()
		base := r.key()
		grants := make(map[string]driver.Grant)
		for _, key := range []string{
			"", "/", "//", "/a", "/A", "/ab", "/a/b", "/a/b/c", "/a*", "/a*b", "/aXb", "/a?", "/aX", "/[ab]", "/b", `/a\`, `/a\*`, "/a%", "/a_",
			"/ ", "/  ", "/\x00", "/\x00b", "/\n", "/é", "/e\u0301", "/日本", "/日本語", "/{a}", "/{a}b", "/%2F", "/..", "/../x", "/^a", "/a$", "/\U0010ffff",
			"/" + strings.Repeat("k", driver.MaxKeyLen-len(base)-1),
		} {
			grants[base+key] = r.mustLock(a, base+key)
		}
		for _, prefix := range []string{
			"", "/", "//", "/a", "/A", "/a/", "/a/b", "/a*", "/a?", "/[ab]", "/[a-b]", "/*", "/?", `/a\`, `/a\*`, "/a%", "/a_", "/ ", "/\x00", "/é", "/e",
			"/日", "/日本語", "/{a}", "/{", "/%2F", "/..", "/.", "/^", "/a$", "/\U0010ffff", "/kkkk", "/nobody", "*", "x",
		} {
			prefix = base + prefix
			found := r.listAll(b, prefix, 100)
			for key, g := range grants {
				switch _, there := found[key]; {
				case strings.HasPrefix(key, prefix):
					r.wantListed(found, g, r.Name(), "")
				case there:
					r.Errorf("ListHeld of prefix %s lists %s", short(prefix), short(key))
				}
			}
		}
		all := r.listAll(b, "", 250)
		for _, g := range grants {
			r.wantListed(all, g, r.Name(), "")
			r.mustRelease(a, g)
		}
	},
}, {
	Name: "ListHeldPages",
	Sentence: "A page has limit locks at the most, the Next of each leads to the one that follows, and the last has none; " +
		"what is locked and released between two pages hides no lock that is held all the time.",
	check: func(r *fixture) {
		a, b := r.clients()
		prefix := r.key()
		var steady, passing []driver.Grant
		for i := range 24 {
			// In the order of keys, of time and of any other: both kinds side by side.
			key := prefix + "/" + string(rune('a'+i*7%24))
			if i%2 == 0 {
				passing = append(passing, r.mustLock(a, key+"-passing"))
			} else {
				steady = append(steady, r.mustLock(a, key))
			}
		}
		for _, limit := range []int{1, 5, 12, 1000} {
			found := make(map[string]driver.Status)
			pages := 0
			r.pages(b, prefix, limit, func(p driver.Page) {
				pages++
				if len(p.Locks) > limit {
					r.Errorf("a page of %d locks at the most has %d", limit, len(p.Locks))
				}
				for _, s := range p.Locks {
					found[s.Key] = s
				}
				if len(p.Locks) > 0 && limit > 1 && len(passing) > 0 { // between this page and the next
					r.mustRelease(a, passing[0])
					passing = passing[1:]
				}
			})
			for _, g := range steady {
				r.wantListed(found, g, r.Name(), "")
			}
			r.Logf("%d pages of %d", pages, limit)
		}
		for _, g := range append(steady, passing...) {
			r.mustRelease(a, g)
		}
		if _, err := b.ListHeld(r.soon(), prefix, "\x00 no page has had this", 10); err != nil && !errors.Is(err, driver.ErrInvalid) {
			r.Errorf("ListHeld with a cursor that no page has had = %v, want nil or ErrInvalid", err)
		}
	},
}}

// pages calls f with each page of ListHeld. It takes its time: a page may be empty though others follow.
func (r *fixture) pages(b driver.Backend, prefix string, limit int, f func(driver.Page)) {
	ctx, cancel := context.WithTimeout(r.Context(), 10*r.slack+time.Minute)
	defer cancel()
	for cursor := ""; ; {
		p, err := b.ListHeld(ctx, prefix, cursor, limit)
		if err != nil {
			r.Fatalf("ListHeld of %s: %v", short(prefix), err)
		}
		f(p)
		if p.Next == "" {
			return
		}
		cursor = p.Next
	}
}

// listAll returns what ListHeld finds, by key, and checks what must hold of each lock.
func (r *fixture) listAll(b driver.Backend, prefix string, limit int) map[string]driver.Status {
	found := make(map[string]driver.Status)
	r.pages(b, prefix, limit, func(p driver.Page) {
		for _, s := range p.Locks {
			if !strings.HasPrefix(s.Key, prefix) || !s.Held() || s.Waiters != -1 {
				r.Errorf("ListHeld of prefix %s lists %+v, want a held lock under it, and -1 for Waiters", short(prefix), s)
			}
			found[s.Key] = s
		}
	})
	return found
}

// wantListed requires that a grant that is held is among what was found.
func (r *fixture) wantListed(found map[string]driver.Status, g driver.Grant, identity, meta string) {
	s, ok := found[g.Key]
	if !ok || !s.Held() {
		r.Errorf("ListHeld does not list %s, which is held", short(g.Key))
		return
	}
	r.wantHolder("ListHeld", s, g, identity, meta)
}
