package statemachine

import (
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

func TestFreeKeyIsGranted(t *testing.T) {
	l := newLog(t)
	s := l.open(0)
	r := l.want("acquire", l.do(s, acquire("k", "a")), command.Granted)
	if r.Token != l.index || r.Number == 0 {
		t.Errorf("%+v, want the index %d as the token", r, l.index)
	}
	l.wantPushes()
	want := command.Status{Held: true, AttemptID: "a", Token: r.Token, Left: ttl}
	if got := l.m.Inspect("k"); got != want {
		t.Errorf("%+v", got)
	}
	if got := l.m.Inspect("other"); got != (command.Status{}) {
		t.Errorf("%+v", got)
	}
}

func TestHeldKeyIsNotGranted(t *testing.T) {
	l := newLog(t)
	s := l.open(0)
	l.want("acquire", l.do(s, acquire("k", "a")), command.Granted)
	l.want("try", l.do(s, try("k", "b")), command.Held)
	if st := l.m.Stats(); st.Claims != 1 {
		t.Errorf("%+v", st)
	}
	if !l.m.Busy("k", "b") || l.m.Busy("k", "a") || l.m.Busy("other", "b") {
		t.Error("who finds the key busy")
	}
	r := l.want("wait", l.do(s, acquire("k", "b")), command.Waiting)
	if r.Token != 0 || r.Number == 0 {
		t.Errorf("%+v", r)
	}
	if l.m.Busy("k", "b") || !l.m.Busy("k", "c") {
		t.Error("one that waits has a claim")
	}
	if got := l.m.Inspect("k"); got.Waiters != 1 || got.AttemptID != "a" {
		t.Errorf("%+v", got)
	}
}

// Asked again, a holder has the same token, and not more time; from now on the one that asked
// hears of the claim.
func TestAcquireAgainWhileHolding(t *testing.T) {
	l := newLog(t)
	s, o := l.open(0), l.open(0)
	r := l.do(s, acquire("k", "a"))
	l.at(4 * time.Second)
	if again := l.do(o, try("k", "a")); again.Code != command.Granted || again.Number != r.Number || again.Token != r.Token {
		t.Errorf("%+v, want %+v", again, r)
	}
	l.at(ttl)
	l.wantPushes(pushed(o, command.Expired, r, r.Token))
}

// Asked again, one that waits keeps its position, and has its time again.
func TestAcquireAgainWhileWaiting(t *testing.T) {
	l := newLog(t)
	s, o := l.open(0), l.open(0)
	l.do(s, acquire("k", "a"))
	r := l.do(s, acquire("k", "b"))
	l.do(s, acquire("k", "c"))
	l.clock = 6 * time.Second
	l.do(s, renew(1, 2, 3, 4, 5))
	l.clock = 8 * time.Second
	if again := l.do(o, try("k", "b")); again.Code != command.Waiting || again.Number != r.Number || again.Token != 0 {
		t.Errorf("%+v, want %+v", again, r)
	}
	l.at(16 * time.Second) // a and c end, and b has the lock since a is gone
	if got := l.m.Inspect("k"); got.AttemptID != "b" || got.Waiters != 0 {
		t.Errorf("%+v", got)
	}
}

func TestReleaseHandsOver(t *testing.T) {
	l := newLog(t)
	s, o := l.open(0), l.open(0)
	a := l.do(s, acquire("k", "a"))
	b := l.do(o, acquire("k", "b"))
	c := l.do(s, acquire("k", "c"))
	l.clock = 9 * time.Second
	l.do(o, renew(b.Number, c.Number))
	l.clock = 9500 * time.Millisecond
	l.want("release", l.do(s, release("k", "a")), command.OK)
	l.wantPushes(pushed(o, command.Granted, b, l.index))
	if got := l.m.Inspect("k"); got.AttemptID != "b" || got.Left != ttl || got.Token <= a.Token || got.Waiters != 1 {
		t.Errorf("%+v", got)
	}
	l.want("release by number", l.do(s, releaseClaim(b.Number)), command.OK)
	l.wantPushes(pushed(o, command.Granted, c, l.index)) // o has renewed it last
	l.want("release", l.do(s, release("k", "c")), command.OK)
	l.wantPushes()
	l.want("release again", l.do(s, release("k", "c")), command.NotHeld)
}

func TestReleaseEndsOnlyItsOwn(t *testing.T) {
	l := newLog(t)
	s := l.open(0)
	a := l.do(s, acquire("k", "a"))
	b := l.do(s, acquire("k", "b"))
	l.do(s, acquire("k", "c"))
	l.want("a stranger's", l.do(s, release("k", "x")), command.NotHeld)
	l.want("another key's", l.do(s, release("other", "a")), command.NotHeld)
	l.want("an unknown number", l.do(s, releaseClaim(99)), command.NotHeld)
	l.want("one that waits", l.do(s, release("k", "b")), command.NotHeld)
	l.wantPushes()
	if got := l.m.Inspect("k"); got.Token != a.Token || got.Waiters != 1 {
		t.Errorf("%+v", got)
	}
	l.want("release", l.do(s, release("k", "a")), command.OK)
	if got := l.m.Inspect("k"); got.AttemptID != "c" || l.m.locks.claims[b.Number] != nil {
		t.Errorf("%+v", got)
	}
}

func TestRenew(t *testing.T) {
	l := newLog(t)
	s, o := l.open(0), l.open(0)
	a := l.do(s, acquire("k", "a"))
	b := l.do(s, acquire("k", "b"))
	l.clock = 9 * time.Second
	r := l.want("renew", l.do(o, renew(99, b.Number, a.Number)), command.OK)
	want := []command.Claim{
		{Number: 99, Code: command.NotHeld},
		{Number: b.Number, Code: command.Waiting},
		{Number: a.Number, Code: command.Granted, Token: a.Token},
	}
	for i := range want {
		if r.Claims[i] != want[i] {
			t.Errorf("%+v, want %+v", r.Claims[i], want[i])
		}
	}
	l.at(19*time.Second - 1)
	l.wantPushes()
	l.at(19 * time.Second)
	l.wantPushes(pushed(o, command.Expired, a, a.Token), pushed(o, command.Granted, b, l.index))
}

// Of two that are overdue, the one with the earlier deadline ends first; of equal ones, the one
// that came first. A command at the very deadline finds nothing.
func TestExpiry(t *testing.T) {
	l := newLog(t)
	s := l.open(0)
	short := func(cmd command.Command, ttl time.Duration) command.Command { cmd.TTL = ttl; return cmd }
	a := l.do(s, short(acquire("k", "a"), 5*time.Second))
	b := l.do(s, short(acquire("k", "b"), 3*time.Second))
	c := l.do(s, short(acquire("k", "c"), 6*time.Second))
	d := l.do(s, short(acquire("l", "d"), 5*time.Second))
	e := l.do(s, short(acquire("l", "e"), 5*time.Second))
	l.at(3*time.Second - 1)
	l.wantPushes()
	l.clock = 7 * time.Second
	r := l.do(s, renew(a.Number, b.Number, c.Number, d.Number, e.Number))
	l.wantPushes(
		pushed(s, command.Expired, b, 0),
		pushed(s, command.Expired, a, a.Token), pushed(s, command.Granted, c, l.index),
		pushed(s, command.Expired, d, d.Token), pushed(s, command.Granted, e, l.index+1),
	)
	for i, code := range []command.Code{command.NotHeld, command.NotHeld, command.Granted, command.NotHeld, command.Granted} {
		if r.Claims[i].Code != code {
			t.Errorf("%d: %v, want %v", i, r.Claims[i].Code, code)
		}
	}
	if at, ok := l.m.NextDeadline(); !ok || at != int64(l.clock+5*time.Second) { // e, from when it was granted
		t.Errorf("%v %v", time.Duration(at), ok)
	}
}

// e, of TestExpiry, is granted although it was due at the same time: its number is greater. But
// one whose deadline came before the holder's is not.
func TestCommandAtDeadlineFindsNothing(t *testing.T) {
	l := newLog(t)
	s := l.open(0)
	a := l.do(s, acquire("k", "a"))
	l.clock = ttl
	l.want("try", l.do(s, try("k", "b")), command.Granted)
	l.wantPushes(pushed(s, command.Expired, a, a.Token))
	l.want("release", l.do(s, release("k", "a")), command.NotHeld)
}

func TestClockNeverGoesBack(t *testing.T) {
	l := newLog(t)
	s := l.open(0)
	l.clock = time.Hour
	l.do(s, acquire("k", "a")) // the session has expired, but the clock has moved
	l.clock = time.Minute
	l.write()
	if l.m.Clock() != int64(time.Hour) {
		t.Errorf("%v", l.m.Clock())
	}
	s = l.open(0)
	l.do(s, acquire("k", "a"))
	if got := l.m.Inspect("k"); got.Left != ttl || l.m.locks.overdue[0].at != int64(time.Hour+ttl) {
		t.Errorf("%+v", got)
	}
}

func TestEvict(t *testing.T) {
	l := newLog(t)
	s, o := l.open(0), l.open(0)
	a := l.do(s, acquire("k", "a"))
	b := l.do(s, acquire("k", "b"))
	l.want("evict", l.do(o, evict("k")), command.OK)
	l.wantPushes(pushed(s, command.Evicted, a, a.Token), pushed(s, command.Granted, b, l.index))
	l.want("evict", l.do(o, evict("k")), command.OK)
	l.wantPushes(pushed(s, command.Evicted, b, l.index-1))
	l.want("evict", l.do(o, evict("k")), command.NotHeld)
	l.wantPushes()
	if r := l.do(s, renew(a.Number, b.Number)); r.Claims[0].Code != command.NotHeld || r.Claims[1].Code != command.NotHeld {
		t.Errorf("%+v", r)
	}
}

// Tokens rise over all keys, also if one entry makes several, and when the log begins again.
func TestTokens(t *testing.T) {
	l := newLog(t)
	s := l.open(0)
	l.index = 100
	out := l.write(l.numbered(s, acquire("a", "x")), l.numbered(s, acquire("b", "x")), l.numbered(s, acquire("c", "x")))
	for i := range out {
		if out[i].Reply.Token != uint64(101+i) {
			t.Errorf("%+v", out[i].Reply)
		}
	}
	if r := l.do(s, acquire("d", "x")); r.Token != 104 {
		t.Errorf("%+v", r)
	}
	l.restore()
	l.m.RaiseTokens(1 << 40)
	l.index = 0
	r := l.do(s, acquire("e", "x"))
	if r.Token != 1<<40+1 || r.Number != 1<<40+1 {
		t.Errorf("%+v", r)
	}
	l.m.RaiseTokens(5)
	if r := l.do(s, acquire("f", "x")); r.Token != 1<<40+2 {
		t.Errorf("%+v", r)
	}
}

// What breaks a limit does nothing.
func TestLimits(t *testing.T) {
	l := newLog(t)
	s := l.open(0)
	l.do(s, acquire("k", "a"))
	before := l.m.Stats()
	for _, cmd := range []command.Command{
		acquire("", "o"), acquire("k", ""), acquire(long(command.MaxKey+1), "o"), acquire("k", long(command.MaxAttemptID+1)),
		{Op: command.Acquire, Key: "k", AttemptID: "o", Meta: long(command.MaxMeta + 1), TTL: ttl},
		{Op: command.Acquire, Key: "k", AttemptID: "o"},
		release("k", ""), evict(""), renew(make([]uint64, command.MaxClaims+1)...),
		{},
		{Op: command.Inspect, Key: "k"},
		{Op: 99},
	} {
		l.want("beyond a limit", l.do(s, cmd), command.Invalid)
		if got := l.m.Stats(); got != before {
			t.Errorf("%+v has changed %+v to %+v", cmd, before, got)
		}
	}
	if r := l.write(command.Command{Op: command.Open, TTL: ttl})[0].Reply; r.Code != command.Invalid {
		t.Errorf("%+v", r)
	}
	// A time that has no end saturates.
	cmd := acquire("forever", "a")
	cmd.TTL = 1<<63 - 1
	l.want("for ever", l.do(s, cmd), command.Granted)
	l.restore()
	if got := l.m.Inspect("forever"); got.Left != 1<<63-1-time.Duration(l.m.clock) {
		t.Errorf("%+v", got)
	}
}
