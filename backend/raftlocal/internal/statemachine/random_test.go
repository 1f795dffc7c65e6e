package statemachine

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "run this seed only")
	seedsFlag = flag.Int("seeds", 50, "how many seeds to run")
)

const entriesOfSeed = 250

// eachSeed runs a test with many seeds, other ones each time.
func eachSeed(t *testing.T, run func(seed uint64) error) {
	t.Helper()
	if *seedFlag != 0 {
		if err := run(*seedFlag); err != nil {
			t.Fatal(err)
		}
		return
	}
	first := rand.Uint64() | 1
	for i := range *seedsFlag {
		seed := first + uint64(i)
		if err := run(seed); err != nil {
			t.Fatalf("after %d seeds: %v\nrun it again: go test -run '^%s$' -seed %d", i, err, t.Name(), seed)
		}
	}
}

// TestMachineIsTheModel: whatever the log is, each answer, each push and all that can be seen
// of the state are those of the model.
func TestMachineIsTheModel(t *testing.T) {
	eachSeed(t, func(seed uint64) error {
		s, m, model := newScript(seed), New(nil), &model{}
		for range entriesOfSeed {
			index, b := s.entry()
			out := m.Apply(index, b)
			answers, pushes := model.apply(index, b)
			if err := sameOutcome(out, answers, pushes); err != nil {
				return fmt.Errorf("entry %d, %+v: %w", index, b, err)
			}
			if err := sameView(m, model, s); err != nil {
				return fmt.Errorf("after entry %d, %+v: %w", index, b, err)
			}
			s.heard(answers)
			if base, yes := s.restored(); yes {
				m.RaiseTokens(base)
				model.raiseTokens(base)
			}
		}
		return nil
	})
}

func sameOutcome(got Outcome, answers []command.Answer, pushes []command.Push) error {
	if len(got.Answers) != len(answers) {
		return fmt.Errorf("%d answers, want %d", len(got.Answers), len(answers))
	}
	for i, a := range answers {
		g := got.Answers[i]
		if g.Session != a.Session || g.Seq != a.Seq || g.ID != a.ID || !same(g.Reply, a.Reply) {
			return fmt.Errorf("answer %d is %+v, want %+v", i, g, a)
		}
	}
	if !slices.Equal(got.Pushes, pushes) {
		return fmt.Errorf("pushes are %+v, want %+v", got.Pushes, pushes)
	}
	return nil
}

func sameView(m *Machine, model *model, s *script) error {
	if got, want := m.Stats(), model.stats(); got != want || m.Claims() != want.Claims || m.Clock() != want.Clock {
		return fmt.Errorf("%+v, want %+v", got, want)
	}
	at, ok := m.NextDeadline()
	if wantAt, wantOK := model.next(); at != wantAt || ok != wantOK {
		return fmt.Errorf("the next deadline is %d, %v, want %d, %v", at, ok, wantAt, wantOK)
	}
	for i := range s.keys {
		key := fmt.Sprintf("key-%d", i)
		if got, want := m.Inspect(key), model.inspect(key); got != want {
			return fmt.Errorf("%s: %+v, want %+v", key, got, want)
		}
		attemptID := s.attemptID()
		queue := model.queue(key)
		if m.Busy(key, attemptID) != (len(queue) > 0 && !slices.ContainsFunc(queue, func(c *modelClaim) bool { return c.attemptID == attemptID })) {
			return fmt.Errorf("whether %s is busy for %s", key, attemptID)
		}
	}
	if err := sameList(m, model, s); err != nil {
		return err
	}
	if len(m.locks.queues) != m.Stats().Keys || len(m.locks.overdue) != len(m.locks.claims) || len(m.sessions.expiring) != len(m.sessions.byNumber) || len(m.sessions.names) != len(m.sessions.byNumber) ||
		len(m.locks.arrivals.claims) != len(m.locks.claims)+m.locks.arrivals.gaps {
		return fmt.Errorf("something is left behind")
	}
	return nil
}

// sameList reads all pages of what is held below a prefix.
func sameList(m *Machine, model *model, s *script) error {
	prefix := []string{"", "key-", "key-1", "other"}[s.r.IntN(4)]
	want := map[string]command.Status{}
	for _, c := range model.claims {
		if c.token != 0 && strings.HasPrefix(c.key, prefix) {
			want[c.key] = model.inspect(c.key)
		}
	}
	for after, limit := uint64(0), 1+s.r.IntN(4); ; {
		page, next := m.ListHeld(prefix, after, limit)
		if len(page) > limit || next != 0 && next <= after {
			return fmt.Errorf("a page of %d locks after %d, where %d may be, and the next is after %d", len(page), after, limit, next)
		}
		for _, l := range page {
			w, ok := want[l.Key]
			if got := (command.Status{Held: true, AttemptID: l.AttemptID, Meta: l.Meta, Token: l.Token, Left: l.Left, Waiters: w.Waiters}); !ok || got != w {
				return fmt.Errorf("%+v is listed, want %+v", l, w)
			}
			delete(want, l.Key)
		}
		if after = next; after == 0 {
			break
		}
	}
	if len(want) > 0 {
		return fmt.Errorf("not listed: %v", want)
	}
	return nil
}

// TestSameLogSameState: a machine that is made again from a snapshot, again and again, and one
// that never is, have the same outcomes and the same bytes after every entry.
func TestSameLogSameState(t *testing.T) {
	eachSeed(t, func(seed uint64) error {
		s, r := newScript(seed), rand.New(rand.NewPCG(seed, 8))
		members := []Member{{ID: 5, Name: "e", Addr: "e:1"}, {ID: 2, Name: "b"}}
		one, other := New(members), New(members[:1])
		other.ApplyMembers(1, []Member{members[1], members[0]})
		for range entriesOfSeed {
			if r.IntN(8) == 0 {
				again, err := Restore(other.Snapshot())
				if err != nil {
					return fmt.Errorf("after entry %d: %w", s.index, err)
				}
				other = again
			}
			index, b := s.entry()
			out := one.Apply(index, b)
			twin := other.Apply(index, b)
			if err := sameOutcome(twin, out.Answers, out.Pushes); err != nil {
				return fmt.Errorf("entry %d, %+v: %w", index, b, err)
			}
			if !bytes.Equal(one.Snapshot(), other.Snapshot()) {
				return fmt.Errorf("after entry %d, %+v: the states differ", index, b)
			}
			s.heard(out.Answers)
			if base, yes := s.restored(); yes {
				one.RaiseTokens(base)
				other.RaiseTokens(base)
			}
		}
		return nil
	})
}
