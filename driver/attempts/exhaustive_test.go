package attempts

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// step is a call of the ledger. do returns false if no backend would make it now.
type step struct {
	name string
	do   func(m *model, now time.Time) bool
}

// steps are those about an attempt, by its last entry.
func steps(id ID) []step {
	enter := func(retry bool) func(*model, time.Time) bool {
		return func(m *model, _ time.Time) bool {
			_, _ = m.enter(driver.Request{Key: id.Key, AttemptID: id.AttemptID, TTL: time.Minute, Retry: retry, Lost: func(error) {}})
			return true
		}
	}
	of := func(f func(m *model, a *toy, now time.Time) bool) func(*model, time.Time) bool {
		return func(m *model, now time.Time) bool {
			a := m.lastEntry(id)
			return a != nil && f(m, a, now)
		}
	}
	grant := func(lower int) func(*model, time.Time) bool {
		return of(func(m *model, a *toy, now time.Time) bool {
			token := 10*a.n + 10 - lower
			if m.underWay(a) > 0 {
				a.Sent = true
				_, _ = m.grant(a, fencing.Token(token), now, time.Minute)
			}
			return m.underWay(a) > 0
		})
	}
	release := func(handle bool) func(*model, time.Time) bool {
		return func(m *model, _ time.Time) bool {
			g := driver.Grant{Key: id.Key, AttemptID: id.AttemptID}
			if handle {
				i := slices.IndexFunc(m.grants, func(g driver.Grant) bool { return ID{g.Key, g.AttemptID} == id })
				if i < 0 {
					return false
				}
				g = m.grants[i]
			}
			m.release(g)
			return true
		}
	}
	return []step{
		{"Enter", enter(false)},
		{"Enter again", enter(true)},
		{"Leave", func(m *model, now time.Time) bool {
			for _, a := range m.entries { // the first that has calls
				if a.ID == id && m.underWay(a) > 0 {
					m.leave(a, now.Add(time.Hour)) // later than a lease
					return true
				}
			}
			return false
		}},
		{"Sent", of(func(m *model, a *toy, _ time.Time) bool {
			sent := a.Sent
			a.Sent = true
			return !sent && m.underWay(a) > 0
		})},
		{"Nothing is there", of(func(m *model, a *toy, _ time.Time) bool {
			sent := a.Sent
			a.Sent = false
			return sent && m.underWay(a) > 0
		})},
		{"Late", of(func(m *model, a *toy, _ time.Time) bool {
			late := a.Late
			m.noteLate(a)
			return !late && m.underWay(a) > 0
		})},
		{"Grant", grant(0)},
		{"Grant another", grant(1)},
		{"Extend", of(func(m *model, a *toy, now time.Time) bool { m.extend(a, now.Add(time.Minute)); return true })},
		{"Extend less", of(func(m *model, a *toy, now time.Time) bool { m.extend(a, now); return true })},
		{"Release", release(false)},
		{"Release the grant", release(true)},
		{"End", of(func(m *model, a *toy, _ time.Time) bool { m.end(a); return true })},
		{"Forget", of(func(m *model, a *toy, _ time.Time) bool { m.forget(a); return true })},
	}
}

// explore tries all sequences of so many steps, and returns the first rule that was broken.
func explore(make func() book, all []step, depth int) (n int, b broken) {
	var try func(path []step) bool
	try = func(path []step) (goOn bool) {
		b = caught(func() {
			m := &model{book: make(), replays: true}
			for i, s := range path {
				m.replays = i < len(path)-1
				goOn = s.do(m, time.Unix(int64(i), 0))
			}
		})
		if b.rule != "" {
			var names []string
			for _, s := range path {
				names = append(names, s.name)
			}
			b.how += " (after " + strings.Join(names, ", ") + ")"
			return false
		}
		n++
		for _, s := range all {
			if !goOn || len(path) == depth {
				break
			}
			try(append(slices.Clip(path), s))
			if b.rule != "" {
				return false
			}
		}
		return true
	}
	for _, s := range all {
		if try([]step{s}); b.rule != "" {
			break
		}
	}
	return n, b
}

// few are the steps with which attempts of one AttemptID on three keys are added and removed in any order.
func few() (all []step) {
	for _, key := range []string{"k", "l", "m"} {
		for _, s := range steps(ID{key, "a"}) {
			switch s.name {
			case "Enter", "Forget", "Release":
				all = append(all, s)
			}
		}
	}
	return all
}

// TestLedgerExhaustively has all short sequences of calls: of one attempt, and of one AttemptID on several keys.
func TestLedgerExhaustively(t *testing.T) {
	for _, row := range []struct {
		what  string
		steps []step
		depth int
	}{{"one attempt", steps(ID{"k", "a"}), 5}, {"three keys", few(), 5}} {
		began := time.Now()
		n, b := explore(func() book { return new(Ledger[*toy]) }, row.steps, row.depth)
		if b.rule != "" {
			t.Errorf("%s: %s: %s", row.what, b.rule, b.how)
		}
		t.Logf("%s: %d sequences, %v", row.what, n, time.Since(began))
	}
}
