package attempts

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// own is a backend's attempt.
type own struct {
	Attempt
	x int
}

func request(key, attemptID string) driver.Request {
	return driver.Request{Key: key, AttemptID: attemptID, TTL: time.Minute}
}

func mustEnter(t *testing.T, l *Ledger[*own], req driver.Request) *own {
	t.Helper()
	a, err := l.Enter(req, new(own))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// holding returns an attempt that holds key k by a grant, and has no call under way.
func holding(t *testing.T, l *Ledger[*own], req driver.Request) (*own, driver.Grant) {
	t.Helper()
	a := mustEnter(t, l, req)
	a.Sent = true
	g, err := l.Grant(a, 7, time.Unix(0, 0), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	l.Leave(a, time.Unix(3600, 0))
	return a, g
}

// TestEnter: what Enter says to a call, after all that may have happened before.
func TestEnter(t *testing.T) {
	const (
		again = iota // the same entry
		fresh
		released
		unavailable
	)
	g := driver.Grant{Key: "k", AttemptID: "a"}
	for _, row := range []struct {
		after string
		do    func(l *Ledger[*own]) *own
		want  int
	}{
		{"nothing", func(*Ledger[*own]) *own { return nil }, fresh},
		{"a call under way", func(l *Ledger[*own]) *own { return mustEnter(t, l, request("k", "a")) }, again},
		{"a call that has left nothing", func(l *Ledger[*own]) *own {
			a := mustEnter(t, l, request("k", "a"))
			l.Leave(a, time.Time{})
			return a
		}, fresh},
		{"a call that may have left something", func(l *Ledger[*own]) *own {
			a := mustEnter(t, l, request("k", "a"))
			a.Sent = true
			l.Leave(a, time.Time{})
			return a
		}, again},
		{"a grant", func(l *Ledger[*own]) *own { a, _ := holding(t, l, request("k", "a")); return a }, again},
		{"a grant that was lost", func(l *Ledger[*own]) *own {
			a, _ := holding(t, l, request("k", "a"))
			l.Forget(a)
			return a
		}, released},
		{"a grant that has expired, and is being ended", func(l *Ledger[*own]) *own {
			a, _ := holding(t, l, request("k", "a"))
			l.End(a)
			return a
		}, released},
		{"a position in the queue that is being ended", func(l *Ledger[*own]) *own {
			a := mustEnter(t, l, request("k", "a"))
			l.End(a)
			return a
		}, unavailable},
		{"a position in the queue that is gone", func(l *Ledger[*own]) *own {
			a := mustEnter(t, l, request("k", "a"))
			l.Forget(a)
			return a
		}, fresh},
		{"Release of an attempt that never asked", func(l *Ledger[*own]) *own { l.Release(g); return nil }, released},
		{"Release while a call was under way", func(l *Ledger[*own]) *own {
			a := mustEnter(t, l, request("k", "a"))
			l.Release(g)
			return a
		}, released},
		{"the same, and nothing is left", func(l *Ledger[*own]) *own {
			a := mustEnter(t, l, request("k", "a"))
			l.Release(g)
			l.Forget(a)
			l.Leave(a, time.Time{})
			return a
		}, released},
		{"Release of a grant that a late request may still make", func(l *Ledger[*own]) *own {
			req := request("k", "a")
			req.Retry = true
			a, g := holding(t, l, req)
			l.Release(g)
			l.Forget(a)
			return a
		}, released},
		{"Release on another key", func(l *Ledger[*own]) *own {
			l.Release(driver.Grant{Key: "other", AttemptID: "a"})
			return nil
		}, fresh},
	} {
		var l Ledger[*own]
		before := row.do(&l)
		a, err := l.Enter(request("k", "a"), new(own))
		got := fresh
		switch {
		case errors.Is(err, driver.ErrReleased):
			got = released
		case errors.Is(err, driver.ErrUnavailable):
			got = unavailable
		case a == before:
			got = again
		}
		if got != row.want {
			t.Errorf("after %s: Enter = %v, %v", row.after, a, err)
		}
		if err == nil && (a.Key != "k" || a.AttemptID != "a" || a.TTL != time.Minute) {
			t.Errorf("after %s: Enter = %+v", row.after, a.Attempt)
		}
	}
}

// TestRelease: what Release returns, and which result it has once nothing is left.
func TestRelease(t *testing.T) {
	for _, row := range []struct {
		of         string
		do         func(l *Ledger[*own]) driver.Grant
		late, ends bool
	}{
		{"a grant", func(l *Ledger[*own]) driver.Grant { _, g := holding(t, l, request("k", "a")); return g }, false, true},
		{"a grant, known by its id only", func(l *Ledger[*own]) driver.Grant {
			holding(t, l, request("k", "a"))
			return driver.Grant{Key: "k", AttemptID: "a"}
		}, false, true},
		{"a grant whose first Release had no answer", func(l *Ledger[*own]) driver.Grant {
			_, g := holding(t, l, request("k", "a"))
			l.Release(g)
			return g
		}, false, true},
		{"a grant for which a request has no answer", func(l *Ledger[*own]) driver.Grant {
			a, g := holding(t, l, request("k", "a"))
			a.Late = true
			return g
		}, true, true},
		{"a grant beside another call", func(l *Ledger[*own]) driver.Grant {
			_, g := holding(t, l, request("k", "a"))
			mustEnter(t, l, request("k", "a"))
			return g
		}, true, true},
		{"a lost grant", func(l *Ledger[*own]) driver.Grant {
			a, g := holding(t, l, request("k", "a"))
			l.Forget(a)
			return g
		}, false, false},
		{"a grant that has expired", func(l *Ledger[*own]) driver.Grant {
			a, g := holding(t, l, request("k", "a"))
			l.End(a)
			return g
		}, false, false},
		{"a position in a queue", func(l *Ledger[*own]) driver.Grant {
			a := mustEnter(t, l, request("k", "a"))
			a.Sent = true
			l.Leave(a, time.Unix(1, 0))
			return driver.Grant{Key: "k", AttemptID: "a"}
		}, false, false},
		{"a call under way", func(l *Ledger[*own]) driver.Grant {
			mustEnter(t, l, request("k", "a"))
			return driver.Grant{Key: "k", AttemptID: "a"}
		}, true, false},
	} {
		var l Ledger[*own]
		g := row.do(&l)
		a, late := l.Release(g)
		if a == nil || late != row.late || a.ReleaseEndsGrant() != row.ends {
			t.Errorf("%s: Release = %+v, late %v; want late %v, ends a grant %v", row.of, a, late, row.late, row.ends)
			continue
		}
		if _, err := l.Grant(a, 7, time.Unix(0, 0), time.Minute); !errors.Is(err, driver.ErrReleased) {
			t.Errorf("%s: Grant after Release = %v", row.of, err)
		}
		if l.Extend(a, time.Unix(99, 0)) {
			t.Errorf("%s is extended after Release", row.of)
		}
		if l.Forget(a) != nil {
			t.Errorf("%s: its holder is told of a loss", row.of)
		}
	}
	var l Ledger[*own]
	if a, late := l.Release(driver.Grant{Key: "k", AttemptID: "a"}); a != nil || !late {
		t.Errorf("Release of what nobody knows = %v, late %v", a, late)
	}
}

// TestReleasedStaysOut: a released attempt is remembered while fewer than MaxTombstones others are released.
func TestReleasedStaysOut(t *testing.T) {
	var l Ledger[*own]
	release := func(id string) { l.Release(driver.Grant{Key: "k", AttemptID: id}) }
	release("a")
	for i := range MaxTombstones - 1 {
		release(fmt.Sprint(i))
	}
	if _, err := l.Enter(request("k", "a"), new(own)); !errors.Is(err, driver.ErrReleased) {
		t.Errorf("Enter = %v after %d releases", err, MaxTombstones-1)
	}
	for i := range 10 * MaxTombstones {
		release(fmt.Sprint("more", i))
	}
	if entries, tombstones := l.sizes(); entries != 0 || tombstones != MaxTombstones {
		t.Errorf("%d entries, %d tombstones", entries, tombstones)
	}
}

// TestExpires: how long an attempt lasts of which nobody asks.
func TestExpires(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	var l Ledger[*own]
	a := mustEnter(t, &l, request("k", "a"))
	b := mustEnter(t, &l, request("k", "a"))
	a.Sent = true
	l.Leave(a, at(10))
	if !a.Expires().IsZero() || a.Overdue(at(1000)) {
		t.Error("an attempt expires while a call is under way")
	}
	l.Leave(b, at(20))
	if !a.Expires().Equal(at(20)) || a.Overdue(at(19)) || !a.Overdue(at(20)) {
		t.Errorf("after the last call it expires %v", a.Expires())
	}
	mustEnter(t, &l, request("k", "a"))
	if a.Overdue(at(1000)) {
		t.Error("an attempt is overdue that is asked for again")
	}
	if _, err := l.Grant(a, 7, at(0), 15*time.Second); err != nil || !a.Expires().Equal(at(15)) {
		t.Errorf("a lease of 15 s expires %v, %v", a.Expires(), err)
	}
	l.Leave(a, at(1000))
	if !l.Extend(a, at(14)) || !a.Expires().Equal(at(15)) {
		t.Errorf("a renewal whose answer came late shortens the lease: it expires %v", a.Expires())
	}
	if !l.Extend(a, at(30)) || a.Overdue(at(29)) || !a.Overdue(at(30)) {
		t.Errorf("a lease that was renewed expires %v", a.Expires())
	}
	l.End(a)
	if a.Overdue(at(1000)) || l.Extend(a, at(2000)) {
		t.Error("what the backend ends is overdue, or extended")
	}
}

// TestForget: who is told of a loss.
func TestForget(t *testing.T) {
	var l Ledger[*own]
	told := 0
	req := request("k", "a")
	req.Lost = func(error) { told++ }
	a, _ := holding(t, &l, req)
	for range 2 {
		if lost := l.Forget(a); lost != nil {
			lost(driver.ErrEvicted)
		}
	}
	if told != 1 || a.Phase() != Gone || l.Find(a.ID) != nil {
		t.Errorf("told %d times; phase %d, in the ledger %v", told, a.Phase(), l.Find(a.ID))
	}
	req.AttemptID = "waits"
	if l.Forget(mustEnter(t, &l, req)) != nil {
		t.Error("a waiter is told of a loss")
	}
}

// TestSeveralKeys: an AttemptID may be in use on several keys, and each is added and removed by itself.
func TestSeveralKeys(t *testing.T) {
	keys := []string{"k", "l", "m", "n"}
	for first := range keys {
		for second := range keys {
			var l, other Ledger[*own]
			for _, key := range keys {
				mustEnter(t, &l, request(key, "a"))
			}
			mustEnter(t, &l, request("k", "b"))
			l.Forget(l.Find(ID{keys[first], "a"}))
			if a := l.Find(ID{keys[second], "a"}); a != nil {
				l.Forget(a)
			}
			var want, got []string
			for i, key := range keys {
				if i != first && i != second {
					want = append(want, key)
				}
			}
			for a := range l.WithID("a") {
				got = append(got, a.Key)
				l.Forget(a)
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("without %s and %s there are %q", keys[first], keys[second], got)
			}
			for a := range l.All() {
				if a.AttemptID != "b" {
					t.Errorf("%s is left", a.Key)
				}
				g, err := l.Grant(a, 1, time.Unix(0, 0), time.Minute)
				if err != nil || l.Of(g) != a || other.Of(g) != nil {
					t.Errorf("Of = %v, and %v of another ledger; %v", l.Of(g), other.Of(g), err)
				}
				l.Forget(a)
				if l.Of(g) != a {
					t.Error("a forgotten attempt is not found by its grant")
				}
				if g.Key = "other"; l.Of(g) != nil {
					t.Error("the Handle of another attempt is believed")
				}
			}
			if entries, _ := l.sizes(); entries != 0 {
				t.Errorf("%d entries are left", entries)
			}
		}
	}
}

func BenchmarkLedger(b *testing.B) {
	var l Ledger[*own]
	b.ReportAllocs()
	now := time.Now()
	lost := func(error) {}
	for b.Loop() {
		a, err := l.Enter(driver.Request{Key: "k", AttemptID: "a", TTL: time.Second, Lost: lost}, &own{x: 1})
		if err != nil {
			b.Fatal(err)
		}
		g, err := l.Grant(a, 1, now, time.Second)
		if err != nil {
			b.Fatal(err)
		}
		l.Leave(a, now)
		l.Extend(a, now.Add(time.Hour))
		if r, late := l.Release(g); r != a || late {
			b.Fatal(r, late)
		}
		if l.Forget(a) != nil {
			b.Fatal()
		}
	}
}
