package statemachine

import (
	"slices"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

func TestOpenAgainFindsTheSession(t *testing.T) {
	l := newLog(t)
	open := command.Command{Op: command.Open, ID: command.SessionID{7}, TTL: time.Second}
	out := l.write(open, open)
	if out[0].Reply.Number != out[1].Reply.Number || l.m.Stats().Sessions != 1 {
		t.Errorf("%+v", out)
	}
	l.at(time.Second)
	if n := l.write(open)[0].Reply.Number; n == out[0].Reply.Number {
		t.Error("a number was given again")
	}
}

// Each command moves the deadline of its session, also one that is not carried out. Claims do
// not depend on sessions.
func TestSessionExpires(t *testing.T) {
	l := newLog(t)
	s, usual := l.open(2*time.Second), l.open(0)
	a := l.do(s, acquire("k", "a"))
	l.clock = 1500 * time.Millisecond
	l.write(command.Command{Op: command.Nop, Session: s, Seq: 1, Lowest: 1})
	l.clock = 3 * time.Second
	l.want("in time", l.do(s, nop), command.OK)
	l.clock = 5 * time.Second
	l.want("late", l.do(s, nop), command.SessionGone)
	if got := l.m.Inspect("k"); got.Token != a.Token {
		t.Errorf("%+v", got)
	}
	l.at(ttl)
	l.wantPushes(pushed(s, command.Expired, a, a.Token))
	l.at(defaultTTL - 1)
	if l.m.sessions.byNumber[usual] == nil {
		t.Error("it has expired early")
	}
	l.at(defaultTTL)
	if st := l.m.Stats(); st.Sessions != 0 {
		t.Errorf("%+v", st)
	}
	l.want("an unknown session", l.do(99, nop), command.SessionGone)
}

func TestSessionDoesNotLiveForEver(t *testing.T) {
	l := newLog(t)
	l.open(1<<63 - 1)
	l.at(longestTTL)
	if st := l.m.Stats(); st.Sessions != 0 {
		t.Errorf("%+v", st)
	}
}

func TestCloseEndsTheSession(t *testing.T) {
	l := newLog(t)
	s := l.open(0)
	a := l.do(s, acquire("k", "a"))
	l.want("close", l.do(s, command.Command{Op: command.Close}), command.OK)
	l.want("afterwards", l.do(s, release("k", "a")), command.SessionGone)
	if got := l.m.Inspect("k"); got.Token != a.Token {
		t.Errorf("%+v", got)
	}
	if st := l.m.Stats(); st.Sessions != 0 {
		t.Errorf("%+v", st)
	}
}

// A command that comes again has the reply it had, and does nothing, also after a snapshot.
func TestCommandRunsOnce(t *testing.T) {
	l := newLog(t)
	s := l.open(0)
	l.clock = time.Second
	cmds := []command.Command{
		l.numbered(s, acquire("k", "a")), l.numbered(s, acquire("k", "b")), l.numbered(s, release("k", "a")),
		l.numbered(s, release("k", "b")), l.numbered(s, renew(1, 2, 3)), l.numbered(s, nop), l.numbered(s, evict("k")),
		l.numbered(s, acquire("", "")),
	}
	for i := range cmds {
		cmds[i].Lowest = 1
	}
	first := l.write(cmds...)
	for range 2 {
		l.clock += time.Second
		slices.Reverse(cmds)
		slices.Reverse(first)
		again := l.write(cmds...)
		for i := range cmds {
			if !same(again[i].Reply, first[i].Reply) {
				t.Errorf("%+v: %+v, and again %+v", cmds[i], first[i].Reply, again[i].Reply)
			}
		}
		l.wantPushes()
		if st := l.m.Stats(); st.Claims != 0 || st.LastToken != l.index-1 && st.LastToken > 3 {
			t.Errorf("%+v", st)
		}
		l.restore()
	}
}

// Once a reply has arrived it is dropped, and a late copy of its command is kept out.
func TestLowest(t *testing.T) {
	l := newLog(t)
	s := l.open(0)
	first := l.numbered(s, acquire("k", "a"))
	l.write(first)
	l.do(s, release("k", "a"))
	for range 2 {
		if r := l.write(first)[0].Reply; r.Code != command.Done || len(l.pushes) > 0 || l.m.Inspect("k").Held {
			t.Errorf("%+v", r)
		}
		l.restore()
	}
	if got := l.m.sessions.byNumber[s].replies; got.span != 1 || got.lowest != 2 {
		t.Errorf("%+v", got)
	}
	// A command that was given up is kept out by one whose Lowest is above it, although it never
	// came.
	never := l.numbered(s, acquire("k", "never"))
	l.do(s, nop)
	if r := l.write(never)[0].Reply; r.Code != command.Done || l.m.Inspect("k").Held {
		t.Errorf("%+v", r)
	}
}

func TestWindow(t *testing.T) {
	l := newLog(t)
	s := l.open(0)
	do := func(seq, lowest uint64) command.Code {
		return l.write(command.Command{Op: command.Nop, Session: s, Seq: seq, Lowest: lowest})[0].Reply.Code
	}
	const most = command.MaxOutstanding
	for _, c := range []struct {
		seq, lowest uint64
		want        command.Code
	}{
		{0, 0, command.Done},
		{most, 1, command.OK},
		{most + 1, 1, command.Invalid},
		{most + 1, 2, command.OK}, // nothing was kept of it
		{1, 0, command.Done},
		{2, 2, command.OK},
		{most, 2, command.OK},
		{2, most, command.Done},
		{1 << 63, most, command.Invalid},
		{1 << 63, 1 << 63, command.OK},
		{1<<64 - 1, 1<<64 - 1, command.OK},
		{1<<64 - 1, 1, command.OK},
	} {
		if got := do(c.seq, c.lowest); got != c.want {
			t.Errorf("%d from %d on: %v, want %v", c.seq, c.lowest, got, c.want)
		}
		l.restore()
	}
}

// The replies of a session take bounded memory.
func TestRepliesAreBounded(t *testing.T) {
	l := newLog(t)
	s := l.open(0)
	numbers := make([]uint64, command.MaxClaims)
	kept, seq := 0, uint64(0)
	for range command.MaxOutstanding {
		seq++
		r := l.write(command.Command{Op: command.Renew, Session: s, Seq: seq, Lowest: 1, Claims: numbers})[0].Reply
		if r.Code != command.OK {
			break
		}
		kept += len(r.Claims)
	}
	if kept != maxStandings {
		t.Errorf("%d standings are kept, want %d", kept, maxStandings)
	}
	p := &l.m.sessions.byNumber[s].replies
	l.write(command.Command{Op: command.Nop, Session: s, Seq: seq, Lowest: seq})
	if p.standings != 0 || len(p.ring) > shortRing {
		t.Errorf("%d standings and a ring of %d are left", p.standings, len(p.ring))
	}
}

func same(a, b command.Reply) bool {
	return a.Code == b.Code && a.Number == b.Number && a.Token == b.Token && a.Status == b.Status && slices.Equal(a.Claims, b.Claims)
}
