package attempts

import (
	"slices"
	"time"
)

// check compares all that the ledger tells with what the log says.
func (m *model) check() {
	if m.replays {
		return
	}
	want := make(map[*toy]bool)
	for _, a := range m.entries {
		m.checkEntry(a)
		if !m.happened(a, "gone") {
			want[a] = true
		}
		if got, want := m.Find(a.ID), m.live(a.ID); got != want {
			wrong(allThere, "Find(%v) = %v, want %v", a.ID, got, want)
		}
		for other := range m.WithID(a.AttemptID) {
			if other.AttemptID != a.AttemptID {
				wrong(allThere, "WithID(%s) has %v", a.AttemptID, other)
			}
		}
	}
	listed := slices.Collect(m.All())
	for _, a := range listed {
		if !want[a] {
			wrong(allThere, "All has %v, which is gone or there twice", a)
		}
		if !slices.Contains(slices.Collect(m.WithID(a.AttemptID)), a) {
			wrong(allThere, "WithID(%s) misses %v", a.AttemptID, a)
		}
		delete(want, a)
	}
	for a := range want {
		wrong(allThere, "All misses %v", a)
	}
	for _, g := range m.grants {
		h, id := g.Handle.(*toy), ID{g.Key, g.AttemptID}
		if a := m.Of(g); a != h {
			wrong(byHandle, "Of(the grant of %v) = %v", h, a)
		}
		foreign := &toy{}
		foreign.ID, foreign.ledger = id, &Tombstones[ID]{}
		for _, handle := range []any{nil, foreign, "none"} {
			g.Handle = handle
			if a := m.Of(g); a != m.live(id) {
				wrong(byID, "Of(%v, with Handle %v) = %v, want %v", id, handle, a, m.live(id))
			}
		}
	}
}

func (m *model) checkEntry(a *toy) {
	phase := Asking
	switch {
	case m.happened(a, "gone"):
		phase = Gone
	case m.over(a):
		phase = Ending
	case m.held(a):
		phase = Held
	}
	if a.Phase() != phase {
		wrong(forward, "%v is in phase %d, want %d", a, a.Phase(), phase)
	}
	if n := m.underWay(a); a.Calls() != n {
		wrong(calls, "%v has %d calls, want %d", a, a.Calls(), n)
	}
	if err := a.Err(); !sameError(err, m.why(a)) {
		wrong(asksAgain, "%v has Err %v, want %v", a, err, m.why(a))
	}
	if got, want := a.ReleaseEndsGrant(), m.endedGrant(a); got != want {
		wrong(endsGrant, "ReleaseEndsGrant of %v is %v, want %v", a, got, want)
	}
	expires := m.expires(a)
	if !a.Expires().Equal(expires) {
		wrong(expiry, "%v expires %v, want %v", a, a.Expires(), expires)
	}
	for _, d := range []time.Duration{-1, 0, time.Hour} {
		want := !m.over(a) && m.underWay(a) == 0 && !expires.IsZero() && d >= 0
		if got := a.Overdue(expires.Add(d)); got != want {
			wrong(overdue, "%v is overdue %v after it has expired: %v, want %v", a, d, got, want)
		}
	}
}

// expires is the end of the lease for an attempt that was granted, otherwise what the last call said that left
// nobody behind, before the attempt was over.
func (m *model) expires(a *toy) (at time.Time) {
	n, over, granted := 0, false, false
	for _, e := range m.log {
		if e.a != a {
			continue
		}
		switch e.what {
		case "enter":
			n++
		case "leave":
			if n--; n == 0 && !over && !granted && !e.forgets {
				at = e.until
			}
		case "grant", "extend":
			if !granted || e.until.After(at) {
				at = e.until
			}
			granted = true
		case "release", "end", "gone":
			over = true
		}
	}
	return at
}
