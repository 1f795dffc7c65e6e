package attempts

import (
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// Ledgers that are broken in one way. Each has one method of its own.
type (
	sharesNothing    struct{ *Ledger[*toy] }
	forgetsReleased  struct{ *Ledger[*toy] }
	revivesReleased  struct{ *Ledger[*toy] }
	grantsAgain      struct{ *Ledger[*toy] }
	grantsAfterEnd   struct{ *Ledger[*toy] }
	givesTwoTokens   struct{ *Ledger[*toy] }
	banishesAll      struct{ *Ledger[*toy] }
	wantsHandles     struct{ *Ledger[*toy] }
	ignoresHandles   struct{ *Ledger[*toy] }
	believesHandles  struct{ *Ledger[*toy] }
	isNeverLate      struct{ *Ledger[*toy] }
	isAlwaysLate     struct{ *Ledger[*toy] }
	forgetsCalls     struct{ *Ledger[*toy] }
	forgetsRetries   struct{ *Ledger[*toy] }
	forgetsLate      struct{ *Ledger[*toy] }
	tellsAfterEnd    struct{ *Ledger[*toy] }
	tellsTwice       struct{ *Ledger[*toy] }
	tellsNobody      struct{ *Ledger[*toy] }
	tellsTheFirst    struct{ *Ledger[*toy] }
	countsOneCall    struct{ *Ledger[*toy] }
	neverExpires     struct{ *Ledger[*toy] }
	keepsLongest     struct{ *Ledger[*toy] }
	shortensLeases   struct{ *Ledger[*toy] }
	extendsWhatEnds  struct{ *Ledger[*toy] }
	keepsUnsent      struct{ *Ledger[*toy] }
	forgetsSent      struct{ *Ledger[*toy] }
	goesBack         struct{ *Ledger[*toy] }
	forgetsGrants    struct{ *Ledger[*toy] }
	cutsTheList      struct{ *Ledger[*toy] }
	listsOneOfID     struct{ *Ledger[*toy] }
	losesItsPlace    struct{ *Ledger[*toy] }
	remembersForever struct{ *Ledger[*toy] }
)

func (l sharesNothing) Enter(req driver.Request, fresh *toy) (*toy, error) {
	if a := l.Find(ID{req.Key, req.AttemptID}); a != nil && a.phase < Ending {
		l.remove(a)
	}
	return l.Ledger.Enter(req, fresh)
}

func (l forgetsReleased) Enter(req driver.Request, fresh *toy) (*toy, error) {
	l.tombstones = Tombstones[ID]{}
	return l.Ledger.Enter(req, fresh)
}

func (l revivesReleased) Grant(a *toy, token fencing.Token, start time.Time, ttl time.Duration) (driver.Grant, error) {
	if a.phase == Ending && a.released {
		a.phase = Held
	}
	return l.Ledger.Grant(a, token, start, ttl)
}

func (l grantsAgain) Forget(a *toy) func(error) {
	lost := l.Ledger.Forget(a)
	if a.granted && !a.released {
		l.tombstones = Tombstones[ID]{}
	}
	return lost
}

func (l grantsAfterEnd) Grant(a *toy, token fencing.Token, start time.Time, ttl time.Duration) (driver.Grant, error) {
	if a.phase == Ending && !a.released {
		a.phase = Asking
	}
	return l.Ledger.Grant(a, token, start, ttl)
}

func (l givesTwoTokens) Grant(a *toy, token fencing.Token, start time.Time, ttl time.Duration) (driver.Grant, error) {
	a.token = token
	return l.Ledger.Grant(a, token, start, ttl)
}

func (l banishesAll) End(a *toy) {
	l.Ledger.End(a)
	l.tombstones.Add(a.ID)
}

func (l wantsHandles) Release(g driver.Grant) (*toy, bool) {
	if g.Handle == nil {
		l.tombstones.Add(ID{g.Key, g.AttemptID})
		return nil, true
	}
	return l.Ledger.Release(g)
}

func (l ignoresHandles) Release(g driver.Grant) (*toy, bool) {
	g.Handle = nil
	return l.Ledger.Release(g)
}

func (l believesHandles) Of(g driver.Grant) *toy {
	if a, ok := g.Handle.(*toy); ok {
		return a
	}
	return l.Ledger.Of(g)
}

func (l isNeverLate) Release(g driver.Grant) (*toy, bool) {
	a, _ := l.Ledger.Release(g)
	return a, a == nil
}

func (l isAlwaysLate) Release(g driver.Grant) (*toy, bool) {
	a, _ := l.Ledger.Release(g)
	return a, true
}

func (l forgetsCalls) Release(g driver.Grant) (*toy, bool) {
	a, late := l.Ledger.Release(g)
	return a, late && (a == nil || a.Late)
}

func (l forgetsRetries) Enter(req driver.Request, fresh *toy) (*toy, error) {
	req.Retry = false
	return l.Ledger.Enter(req, fresh)
}

func (l forgetsLate) Leave(a *toy, expires time.Time) {
	a.Late = false
	l.Ledger.Leave(a, expires)
}

func (l tellsAfterEnd) Forget(a *toy) func(error) {
	if a.phase == Ending {
		a.phase = Held
	}
	return l.Ledger.Forget(a)
}

func (l tellsTwice) Forget(a *toy) func(error) {
	if a.phase == Gone && a.granted && !a.released {
		return a.lost
	}
	return l.Ledger.Forget(a)
}

func (l tellsNobody) Forget(a *toy) func(error) {
	l.Ledger.Forget(a)
	return nil
}

func (l tellsTheFirst) Enter(req driver.Request, fresh *toy) (*toy, error) {
	if a := l.Find(ID{req.Key, req.AttemptID}); a != nil && a.lost != nil {
		req.Lost = nil
	}
	return l.Ledger.Enter(req, fresh)
}

func (l countsOneCall) Enter(req driver.Request, fresh *toy) (*toy, error) {
	a, err := l.Ledger.Enter(req, fresh)
	if err == nil {
		a.calls = 1
	}
	return a, err
}

func (l neverExpires) Leave(a *toy, _ time.Time) { l.Ledger.Leave(a, time.Time{}) }

// keepsLongest is how Grant was at first: an attempt that a call had left before was not over with its lease.
func (l keepsLongest) Grant(a *toy, token fencing.Token, start time.Time, ttl time.Duration) (driver.Grant, error) {
	before := a.expires
	g, err := l.Ledger.Grant(a, token, start, ttl)
	if err == nil {
		a.extend(before)
	}
	return g, err
}

func (l shortensLeases) Extend(a *toy, expires time.Time) bool {
	held := l.Ledger.Extend(a, expires)
	if held {
		a.expires = expires
	}
	return held
}

func (l extendsWhatEnds) Extend(a *toy, expires time.Time) bool {
	return l.Ledger.Extend(a, expires) || a.phase == Ending && a.granted
}

func (l keepsUnsent) Leave(a *toy, expires time.Time) {
	a.Sent = true
	l.Ledger.Leave(a, expires)
}

func (l forgetsSent) Leave(a *toy, expires time.Time) {
	sent := a.Sent
	a.Sent = false
	l.Ledger.Leave(a, expires)
	a.Sent = sent
}

func (l goesBack) End(a *toy) { a.phase = Ending }

func (l forgetsGrants) Release(g driver.Grant) (*toy, bool) {
	a, late := l.Ledger.Release(g)
	if a != nil && a.grantEnds && a.Late {
		a.grantEnds = false
	}
	return a, late
}

func (l cutsTheList) Forget(a *toy) func(error) {
	if first := l.byID[a.AttemptID]; first != a && a.phase < Gone {
		a.nextWithID = nil
	}
	return l.Ledger.Forget(a)
}

func (l listsOneOfID) All() iter.Seq[*toy] {
	return func(yield func(*toy) bool) {
		for _, a := range l.byID {
			if !yield(a) {
				return
			}
		}
	}
}

func (l losesItsPlace) WithID(attemptID string) iter.Seq[*toy] {
	return func(yield func(*toy) bool) {
		a, ok := l.byID[attemptID]
		for ok && yield(a) {
			a, ok = a.nextWithID.(*toy)
		}
	}
}

func (l losesItsPlace) All() iter.Seq[*toy] {
	return func(yield func(*toy) bool) {
		for id := range l.byID {
			l.WithID(id)(yield)
		}
	}
}

func (l remembersForever) Release(g driver.Grant) (*toy, bool) {
	l.tombstones.Add(ID{g.Key, g.AttemptID})
	return l.Ledger.Release(g)
}

// TestLedgerMutants: the model notices what is wrong with each of these ledgers, and names the rule.
func TestLedgerMutants(t *testing.T) {
	type ledger = *Ledger[*toy]
	for _, m := range []struct {
		name   string
		rule   rule
		broken func(l ledger) book
	}{
		{"each call has an entry", oneEntry, func(l ledger) book { return sharesNothing{l} }},
		{"what was released is forgotten", staysOut, func(l ledger) book { return forgetsReleased{l} }},
		{"Grant wins over Release", staysOut, func(l ledger) book { return revivesReleased{l} }},
		{"what was lost may come again", grantedOnce, func(l ledger) book { return grantsAgain{l} }},
		{"Grant wins over End", grantedOnce, func(l ledger) book { return grantsAfterEnd{l} }},
		{"a grant changes its token", oneToken, func(l ledger) book { return givesTwoTokens{l} }},
		{"what was overdue may not come again", asksAgain, func(l ledger) book { return banishesAll{l} }},
		{"Release wants a Handle", byID, func(l ledger) book { return wantsHandles{l} }},
		{"Release does not look at the Handle", byHandle, func(l ledger) book { return ignoresHandles{l} }},
		{"another ledger's Handle is believed", byID, func(l ledger) book { return believesHandles{l} }},
		{"nothing is ever late", mayBeLate, func(l ledger) book { return isNeverLate{l} }},
		{"everything is late", mayBeLate, func(l ledger) book { return isAlwaysLate{l} }},
		{"a call under way is not late", mayBeLate, func(l ledger) book { return forgetsCalls{l} }},
		{"Retry says nothing", mayBeLate, func(l ledger) book { return forgetsRetries{l} }},
		{"what is late is so until the call ends", mayBeLate, func(l ledger) book { return forgetsLate{l} }},
		{"a holder is told of its own release", toldOnce, func(l ledger) book { return tellsAfterEnd{l} }},
		{"a holder is told twice", toldOnce, func(l ledger) book { return tellsTwice{l} }},
		{"a holder is not told", toldOnce, func(l ledger) book { return tellsNobody{l} }},
		{"the first who asked is told", toldOnce, func(l ledger) book { return tellsTheFirst{l} }},
		{"several calls count as one", calls, func(l ledger) book { return countsOneCall{l} }},
		{"what a call leaves never expires", expiry, func(l ledger) book { return neverExpires{l} }},
		{"a grant lasts as long as a call had left it", expiry, func(l ledger) book { return keepsLongest{l} }},
		{"an answer that comes late shortens a lease", expiry, func(l ledger) book { return shortensLeases{l} }},
		{"what is ending is extended", noLonger, func(l ledger) book { return extendsWhatEnds{l} }},
		{"what was never sent is kept", forward, func(l ledger) book { return keepsUnsent{l} }},
		{"what was sent is forgotten", forward, func(l ledger) book { return forgetsSent{l} }},
		{"what is gone is ended", forward, func(l ledger) book { return goesBack{l} }},
		{"a grant with a late request was none", endsGrant, func(l ledger) book { return forgetsGrants{l} }},
		{"the rest of a list goes with an entry", allThere, func(l ledger) book { return cutsTheList{l} }},
		{"one key of an attempt id is listed", allThere, func(l ledger) book { return listsOneOfID{l} }},
		{"a loop that forgets ends", allThere, func(l ledger) book { return losesItsPlace{l} }},
		{"each release is remembered", nothingLeft, func(l ledger) book { return remembersForever{l} }},
	} {
		t.Run(strings.ReplaceAll(m.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			fresh := func() book { return m.broken(new(Ledger[*toy])) }
			another := broken{}
			noticed := func(b broken) bool {
				if b.rule == m.rule {
					t.Log(b.how)
				} else if b.rule != "" {
					another = b
				}
				return b.rule == m.rule
			}
			for _, all := range [][]step{steps(ID{"k", "a"}), few()} {
				if _, b := explore(fresh, all, 4); noticed(b) {
					return
				}
			}
			for seed := uint64(1); seed <= 300; seed++ {
				if b, _ := newWorld(seed, fresh()).run(150); noticed(b) {
					return
				}
			}
			t.Errorf("nobody notices by the rule %q, but by %q: %s", m.rule, another.rule, another.how)
		})
	}
}
