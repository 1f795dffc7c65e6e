package session

import (
	"slices"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

func newTest() *Session {
	var last byte
	return New(func() command.SessionID { last++; return command.SessionID{last} }, time.Minute)
}

func key(k string) command.Command { return command.Command{Op: command.Evict, Key: k} }

// expect checks what goes out: the op and key of each, in order.
func expect(t *testing.T, s *Session, want ...string) []command.Command {
	t.Helper()
	out := slices.Clone(s.Outgoing(time.Second))
	var got []string
	for _, c := range out {
		got = append(got, c.Op.String()+c.Key)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("sends %q, want %q", got, want)
	}
	return out
}

func answer(s *Session, cmd command.Command, r command.Reply) []Event {
	return slices.Clone(s.Receive([]command.Answer{{Session: cmd.Session, Seq: cmd.Seq, ID: cmd.ID, Reply: r}}, nil))
}

func number(n uint64) command.Reply { return command.Reply{Code: command.OK, Number: n} }

var (
	okay = command.Reply{Code: command.OK}
	gone = command.Reply{Code: command.SessionGone}
)

// openSession connects and opens the session n.
func openSession(t *testing.T, s *Session, n uint64) {
	t.Helper()
	s.Connected()
	out := expect(t, s, "open")
	if e := answer(s, out[0], number(n)); len(e) != 1 || e[0].Kind != Opened {
		t.Fatalf("events %+v, want Opened", e)
	}
}

func TestOneSessionForAll(t *testing.T) {
	s := newTest()
	if n := s.Connected(); n != 0 {
		t.Errorf("the session %d goes on, and there is none", n)
	}
	expect(t, s) // nothing to do needs no session
	a := s.Do(key("a"))
	open := expect(t, s, "open")
	b := s.Do(key("b"))
	expect(t, s) // asked for once
	if e := answer(s, command.Command{ID: command.SessionID{9}}, number(6)); len(e) != 0 {
		t.Fatalf("another's session is taken: %+v", e)
	}
	answer(s, open[0], number(7))
	out := expect(t, s, "evicta", "evictb")
	for i, c := range out {
		if c.Session != 7 || c.Seq != uint64(i+1) || c.Lowest != 1 {
			t.Errorf("command %d is %+v", i, c)
		}
	}
	if e := answer(s, out[1], okay); len(e) != 1 || e[0].Kind != Done || e[0].Call != b || b.Sent != time.Second || b.Times != 1 {
		t.Errorf("events %+v, want Done for b", e)
	}
	if e := answer(s, out[1], okay); len(e) != 0 {
		t.Errorf("a second answer is told: %+v", e)
	}
	if s.Outstanding() != 1 || s.Oldest() != a {
		t.Errorf("%d are outstanding", s.Outstanding())
	}
	answer(s, out[0], okay)
	s.Do(key("c"))
	if out := expect(t, s, "evictc"); out[0].Seq != 3 || out[0].Lowest != 3 {
		t.Errorf("the third is %+v", out[0])
	}
}

func TestOpeningIsRepeatedUnderTheSameName(t *testing.T) {
	s := newTest()
	s.Do(key("a"))
	s.Connected()
	first := expect(t, s, "open")
	s.Disconnected()
	s.Connected()
	if again := expect(t, s, "open"); again[0].ID != first[0].ID || first[0].ID == (command.SessionID{}) {
		t.Errorf("asked for %v and then %v", first[0].ID, again[0].ID)
	}
}

func TestEachConnectionGetsAllOnce(t *testing.T) {
	s := newTest()
	a, b := s.Do(key("a")), s.Do(key("b"))
	openSession(t, s, 7)
	first := expect(t, s, "evicta", "evictb")
	expect(t, s)
	answer(s, first[0], okay)
	s.Do(key("c"))
	s.Disconnected()
	expect(t, s)
	if n := s.Connected(); n != 7 {
		t.Errorf("the session %d goes on, want 7", n)
	}
	second := expect(t, s, "evictb", "evictc")
	if second[0].Seq != first[1].Seq || second[0].Lowest != 2 || b.Times != 2 || a.Times != 1 {
		t.Errorf("sent again as %+v, %d times", second[0], b.Times)
	}
	expect(t, s)
}

func TestCancel(t *testing.T) {
	s := newTest()
	never, a, b := s.Do(key("never")), s.Do(key("a")), s.Do(key("b"))
	if !s.Cancel(never) {
		t.Errorf("one that was not sent may be carried out")
	}
	openSession(t, s, 7)
	out := expect(t, s, "evicta", "evictb")
	if s.Cancel(a) {
		t.Errorf("one that was sent cannot be carried out any more")
	}
	if e := answer(s, out[0], okay); len(e) != 0 {
		t.Errorf("nobody waits for %+v", e)
	}
	s.Disconnected()
	s.Connected()
	if out := expect(t, s, "evictb"); out[0].Lowest != 2 {
		t.Errorf("Lowest is %d and does not pass what was given up", out[0].Lowest)
	}
	answer(s, out[1], okay)
	if s.Cancel(b) || s.Cancel(a) || s.Outstanding() != 0 {
		t.Errorf("cancelling what is over does something")
	}
}

func TestSleeperFindsItsSessionGone(t *testing.T) {
	s := newTest()
	a := s.Do(key("a"))
	openSession(t, s, 7)
	answer(s, expect(t, s, "evicta")[0], okay)
	b, c := s.Do(key("b")), s.Do(key("c"))
	out := expect(t, s, "evictb", "evictc")
	if e := answer(s, out[0], gone); len(e) != 0 {
		t.Fatalf("events %+v: it was sent once, and so not carried out", e)
	}
	d := s.Do(key("d"))
	open := expect(t, s, "open")
	answer(s, open[0], number(9))
	expect(t, s) // c might be carried out before: its answer is not there
	answer(s, out[1], gone)
	out = expect(t, s, "evictb", "evictc", "evictd")
	for i, x := range []*Call{b, c, d} {
		if out[i].Session != 9 || out[i].Seq != uint64(i+1) || x.Times != 1 {
			t.Errorf("%d goes to the new session as %+v", i, out[i])
		}
	}
	_ = a
}

func TestSentTwiceAndGoneIsUnknown(t *testing.T) {
	s := newTest()
	a := s.Do(key("a"))
	openSession(t, s, 7)
	expect(t, s, "evicta")
	s.Disconnected()
	s.Connected()
	b := s.Do(key("b"))
	out := expect(t, s, "evicta", "evictb")
	if e := answer(s, out[0], gone); len(e) != 1 || e[0].Kind != Unknown || e[0].Call != a {
		t.Errorf("events %+v, want Unknown for a", e)
	}
	// And if the connection goes now, so does the fate of b.
	if e := s.Disconnected(); len(e) != 1 || e[0].Kind != Unknown || e[0].Call != b {
		t.Errorf("events %+v, want Unknown for b", e)
	}
	if n := s.Connected(); n != 0 || s.Outstanding() != 0 {
		t.Errorf("the session that has ended is named, or something outstanding")
	}
}

func TestWindow(t *testing.T) {
	s := newTest()
	const all = command.MaxOutstanding + 100
	for range all {
		s.Do(key("k"))
	}
	openSession(t, s, 7)
	out := slices.Clone(s.Outgoing(0))
	if len(out) != command.MaxOutstanding {
		t.Fatalf("%d are sent at once, want %d", len(out), command.MaxOutstanding)
	}
	answer(s, out[1], okay) // not the lowest: its reply must be kept on
	if more := s.Outgoing(0); len(more) != 0 {
		t.Errorf("%d are sent beyond the window", len(more))
	}
	answer(s, out[0], okay)
	if more := s.Outgoing(0); len(more) != 2 || more[1].Seq-more[1].Lowest >= command.MaxOutstanding {
		t.Errorf("%d are sent when two are answered", len(more))
	}
}

func TestPushesComeAfterAnswers(t *testing.T) {
	s := newTest()
	s.Do(key("a"))
	openSession(t, s, 7)
	out := expect(t, s, "evicta")
	push := command.Push{Session: 7, Claim: command.Claim{Number: 5, Code: command.Granted, Token: 8}}
	e := s.Receive([]command.Answer{{Session: 7, Seq: out[0].Seq, Reply: okay}}, []command.Push{push})
	if len(e) != 2 || e[0].Kind != Done || e[1].Kind != Pushed || e[1].Claim != push.Claim {
		t.Errorf("events %+v", e)
	}
}

func TestRefusedSession(t *testing.T) {
	s := newTest()
	a := s.Do(key("a"))
	s.Connected()
	out := expect(t, s, "open")
	if e := answer(s, out[0], command.Reply{Code: command.Invalid}); len(e) != 1 || e[0].Call != a || e[0].Reply.Code != command.Invalid {
		t.Errorf("events %+v, want a with Invalid", e)
	}
	expect(t, s)
}
