package attempts

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// A rule of the ledger. The model names the one that was broken.
type rule string

const (
	oneEntry    rule = "all calls of one attempt share one entry"
	grantedOnce rule = "an attempt is granted once"
	oneToken    rule = "a grant has one token"
	staysOut    rule = "a released attempt stays out"
	asksAgain   rule = "an attempt that was never granted may be asked for again"
	byID        rule = "Release finds the attempt by its id alone"
	byHandle    rule = "a grant's entry is its Handle"
	mayBeLate   rule = "late says that a request may still make something"
	toldOnce    rule = "the holder is told of a loss once, and of nothing else"
	forward     rule = "phases go forward, each for its reason"
	endsGrant   rule = "Release ends a grant if there was one"
	calls       rule = "calls under way are counted"
	overdue     rule = "an attempt is overdue once it has expired, and nobody asks about it or ends it"
	expiry      rule = "an attempt expires with its lease, or when Leave says"
	noLonger    rule = "a lease is extended while it is held"
	allThere    rule = "each attempt is found, and listed once"
	nothingLeft rule = "nothing is left but tombstones"
)

// toy is an attempt of a backend of the tests.
type toy struct {
	Attempt
	n int // which entry of the run

	// The rest is the toy backend's, in world_test.go.
	session, number, asked int
	deleting               bool
}

func (a *toy) String() string { return fmt.Sprintf("%s/%s#%d", a.Key, a.AttemptID, a.n) }

// book is what the tests see of a Ledger, so that a mutant can take its place.
type book interface {
	Enter(req driver.Request, fresh *toy) (*toy, error)
	Leave(a *toy, expires time.Time)
	Grant(a *toy, token fencing.Token, start time.Time, ttl time.Duration) (driver.Grant, error)
	Extend(a *toy, expires time.Time) bool
	Release(g driver.Grant) (a *toy, late bool)
	End(a *toy)
	Forget(a *toy) (lost func(why error))
	Find(id ID) *toy
	Of(g driver.Grant) *toy
	WithID(attemptID string) iter.Seq[*toy]
	All() iter.Seq[*toy]
	sizes() (entries, tombstones int)
}

func (l *Ledger[A]) sizes() (entries, tombstones int) { return len(l.byID), len(l.tombstones.ids) }

// model wraps a book, keeps a log of what was called, and compares each answer with what the log says. It knows
// no phases: whether an attempt is held, say, is a question about what has happened to it.
type model struct {
	book
	log     []event
	entries []*toy // all there ever were
	grants  []driver.Grant
	told    []int // the event of each Enter whose Lost was called
	replays bool  // what was checked before
}

type event struct {
	what  string // enter, leave, grant, extend, release, end, gone, late
	a     *toy   // nil if it was about an attempt that has no entry
	id    ID
	retry bool // of an Enter
	lost  bool // an Enter has told whom to tell
	token fencing.Token
	until time.Time // leave, grant, extend
	stays bool      // release, gone: the attempt has to be remembered
	held  bool      // release: it was held

	forgets bool // leave: nothing of the attempt is on the server
}

// broken is what the model panics with.
type broken struct {
	rule rule
	how  string
}

func wrong(r rule, format string, args ...any) { panic(broken{r, fmt.Sprintf(format, args...)}) }

// caught runs f, and returns the rule that was broken meanwhile, if any.
func caught(f func()) (b broken) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case broken:
			b = r
		case error:
			b = broken{"no panic", r.Error()}
		}
	}()
	f()
	return broken{}
}

func (m *model) note(e event) {
	if e.a != nil {
		e.id = e.a.ID
	}
	m.log = append(m.log, e)
}

// last returns the last event of an entry of one of these kinds.
func (m *model) last(a *toy, kinds ...string) (event, bool) {
	for _, e := range slices.Backward(m.log) {
		if e.a == a && slices.Contains(kinds, e.what) {
			return e, true
		}
	}
	return event{}, false
}

func (m *model) happened(a *toy, kinds ...string) bool {
	_, ok := m.last(a, kinds...)
	return ok
}

func (m *model) count(a *toy, what string) (n int) {
	for _, e := range m.log {
		if e.a == a && e.what == what {
			n++
		}
	}
	return n
}

func (m *model) underWay(a *toy) int { return m.count(a, "enter") - m.count(a, "leave") }

func (m *model) over(a *toy) bool { return m.happened(a, "release", "end", "gone") }

func (m *model) held(a *toy) bool { return m.happened(a, "grant") && !m.over(a) }

// late reports whether a request of an attempt may be carried out from now on, by what the backend has said.
func (m *model) late(a *toy) bool {
	return m.happened(a, "late") || m.underWay(a) > 0 || slices.ContainsFunc(m.log, func(e event) bool { return e.a == a && e.retry })
}

// live is the entry that an attempt has now.
func (m *model) live(id ID) *toy {
	if e := m.lastEntry(id); e != nil && !m.happened(e, "gone") {
		return e
	}
	return nil
}

func (m *model) lastEntry(id ID) *toy {
	for _, a := range slices.Backward(m.entries) {
		if a.ID == id {
			return a
		}
	}
	return nil
}

// outcast reports whether a call of an attempt must be refused though it has no entry. (The tests release
// fewer attempts than the ledger remembers.)
func (m *model) outcast(id ID) bool {
	return slices.ContainsFunc(m.log, func(e event) bool { return e.id == id && e.stays })
}

// why is the error for an attempt that is over.
func (m *model) why(a *toy) error {
	switch {
	case !m.over(a):
		return nil
	case m.happened(a, "release", "grant"):
		return driver.ErrReleased
	}
	return driver.ErrUnavailable
}

func sameError(got, want error) bool {
	return (got == nil) == (want == nil) && errors.Is(got, want) && errors.Is(got, driver.ErrReleased) == errors.Is(want, driver.ErrReleased)
}

func (m *model) enter(req driver.Request) (*toy, error) {
	var (
		id    = ID{req.Key, req.AttemptID}
		live  = m.live(id)
		fresh = &toy{n: len(m.entries)}
		want  error
		turn  = len(m.log)
		lost  = req.Lost != nil
	)
	if lost {
		req.Lost = func(error) { m.told = append(m.told, turn) }
	}
	switch {
	case live != nil:
		want = m.why(live)
	case m.outcast(id):
		want = driver.ErrReleased
	}
	a, err := m.Enter(req, fresh)
	released := slices.ContainsFunc(m.log, func(e event) bool { return e.id == id && e.what == "release" })
	switch {
	case errors.Is(want, driver.ErrReleased) && !errors.Is(err, want) && !released:
		wrong(grantedOnce, "Enter = %v, %v, want %v", a, err, want)
	case errors.Is(want, driver.ErrReleased) && !errors.Is(err, want):
		wrong(staysOut, "Enter = %v, %v, want %v", a, err, want)
	case !sameError(err, want):
		wrong(asksAgain, "Enter = %v, %v, want %v", a, err, want)
	case err != nil && a != nil:
		wrong(oneEntry, "Enter = %v, %v", a, err)
	case err == nil && live != nil && a != live:
		wrong(oneEntry, "Enter = %v beside %v", a, live)
	case err == nil && live == nil && a != fresh:
		wrong(oneEntry, "Enter = %v, want a fresh one", a)
	case err == nil && (a.ID != id || live == nil && a.TTL != req.TTL):
		wrong(oneEntry, "Enter = %v with %v, want that of the request", a, a.TTL)
	case err == nil && req.Retry && (!a.Sent || !a.Late):
		wrong(mayBeLate, "Enter again: sent %v, late %v", a.Sent, a.Late)
	}
	if err == nil {
		if live == nil {
			m.entries = append(m.entries, a)
		}
		m.note(event{what: "enter", a: a, retry: req.Retry, lost: lost})
	}
	m.check()
	return a, err
}

func (m *model) leave(a *toy, expires time.Time) {
	forgets := m.underWay(a) == 1 && !m.happened(a, "grant") && !m.over(a) && !a.Sent
	m.Leave(a, expires)
	m.note(event{what: "leave", a: a, until: expires, forgets: forgets})
	if forgets {
		m.note(event{what: "gone", a: a})
	}
	m.check()
}

// noteLate is what the backend does when a request of an attempt has no answer.
func (m *model) noteLate(a *toy) {
	a.Sent, a.Late = true, true
	m.note(event{what: "late", a: a})
}

func (m *model) grant(a *toy, token fencing.Token, start time.Time, ttl time.Duration) (driver.Grant, error) {
	want, r := m.why(a), grantedOnce
	before, again := m.last(a, "grant")
	switch {
	case m.happened(a, "release"):
		r = staysOut
	case want == nil && again && before.token != token:
		want, r = driver.ErrReleased, oneToken
	}
	g, err := m.Grant(a, token, start, ttl)
	switch {
	case !sameError(err, want):
		wrong(r, "Grant(%v, %d) = %v, want %v", a, token, err, want)
	case err == nil:
		if g.Key != a.Key || g.AttemptID != a.AttemptID || g.Token != token || !g.Start.Equal(start) || g.TTL != ttl || g.Handle != any(a) {
			wrong(byHandle, "Grant(%v, %d) = %+v", a, token, g)
		}
		m.grants = append(m.grants, g)
		m.note(event{what: "grant", a: a, token: token, until: start.Add(ttl)})
	}
	m.check()
	return g, err
}

func (m *model) extend(a *toy, expires time.Time) bool {
	want := m.held(a)
	if got := m.Extend(a, expires); got != want {
		wrong(noLonger, "Extend(%v) = %v, want %v", a, got, want)
	}
	if want {
		m.note(event{what: "extend", a: a, until: expires})
	}
	m.check()
	return want
}

func (m *model) release(g driver.Grant) (*toy, bool) {
	id := ID{g.Key, g.AttemptID}
	want, r := m.live(id), byID
	if h, ok := g.Handle.(*toy); ok && slices.Contains(m.entries, h) && h.ID == id {
		want, r = h, byHandle
	}
	wantLate, held := true, false
	if want != nil {
		wantLate, held = m.late(want), m.held(want) || m.endedGrant(want)
	}
	a, late := m.Release(g)
	switch {
	case a != want:
		wrong(r, "Release(%v) = %v, want %v", id, a, want)
	case late != wantLate:
		wrong(mayBeLate, "Release(%v) = late %v, want %v", id, late, wantLate)
	}
	m.note(event{what: "release", a: a, id: id, stays: a == nil || late || !held, held: held})
	m.check()
	return a, late
}

// endedGrant reports whether a Release of an attempt has come while it was held.
func (m *model) endedGrant(a *toy) bool {
	return slices.ContainsFunc(m.log, func(e event) bool { return e.a == a && e.what == "release" && e.held })
}

func (m *model) end(a *toy) {
	m.End(a)
	if !m.happened(a, "gone") {
		m.note(event{what: "end", a: a})
	}
	m.check()
}

func (m *model) forget(a *toy) (told bool) {
	want, held, gone := -1, m.held(a), m.happened(a, "gone")
	for i, e := range m.log {
		if e.a == a && e.lost && held {
			want = i
		}
	}
	before := len(m.told)
	if lost := m.Forget(a); lost != nil {
		lost(errors.New("gone"))
	}
	switch heard := m.told[before:]; {
	case want < 0 && len(heard) > 0:
		wrong(toldOnce, "%v is told, and there was no loss", a)
	case want >= 0 && len(heard) == 0:
		wrong(toldOnce, "nobody is told of the loss of %v", a)
	case want >= 0 && heard[0] != want:
		wrong(toldOnce, "of the loss of %v another is told than who asked last", a)
	}
	if !gone {
		m.note(event{what: "gone", a: a, stays: m.happened(a, "grant") && !m.happened(a, "release")})
	}
	m.check()
	return want >= 0
}
