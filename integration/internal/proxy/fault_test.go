package proxy

import (
	"strings"
	"testing"
)

func TestLoseReply(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), RESP)
	c, other := dial(t, p.Addr()), dial(t, p.Addr())
	c.echo("before")
	other.echo("before")
	f := p.LoseReply(2)
	c.send("PUSH", "not counted")
	c.expect(">2\r\n+message\r\n+not counted\r\n")
	c.expect("+OK\r\n")
	c.send("ECHO", "lost")
	c.expectReset()
	fired(t, "the fault", f.Fired())
	if !s.carriedOut("ECHO lost") {
		t.Error("the request was not carried out")
	}
	other.echo("unharmed")
	eventually(t, "the server sees the end", func() bool { return s.open() == 1 })
}

// The replies of a pipeline arrive in one piece: those before the lost one must
// be delivered, and those after it must not.
func TestLoseReplyOfPipeline(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), RESP)
	c := dial(t, p.Addr())
	p.Pause(ToServer)
	p.LoseReply(3)
	for _, w := range []string{"a", "b", "c", "d"} {
		c.send("ECHO", w)
	}
	p.Resume(ToServer)
	c.expect(echoed("a"))
	c.expect(echoed("b"))
	c.expectReset()
}

func TestLoseReplyOrPush(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), RESP)
	c := dial(t, p.Addr())
	f := p.LoseReplyOrPush(2)
	c.echo("first")
	c.send("PUSH", "lost")
	c.expectReset()
	fired(t, "the fault", f.Fired())
}

func TestLoseReplyIf(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), RESP)
	c := dial(t, p.Addr())
	var seen []string
	f := p.LoseReplyIf(func(n int, r Reply) bool {
		seen = append(seen, strings.Join(Args(r.Request), " "))
		return n == 3 && !r.Push && string(r.Bytes) == "+OK\r\n"
	})
	c.echo("a")
	c.send("PUSH", "x")
	c.expect(">2\r\n+message\r\n+x\r\n")
	c.expectReset()
	fired(t, "the fault", f.Fired())
	if got, want := strings.Join(seen, ","), "ECHO a,,PUSH x"; got != want {
		t.Errorf("shown the replies to %q, want %q", got, want)
	}
}

func TestLoseReplyTo(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), RESP)
	c := dial(t, p.Addr())
	p.Pause(ToClient)
	c.send("ECHO", "x") // under way: does not count
	eventually(t, "the request is carried out", func() bool { return s.carriedOut("ECHO x") })
	f := p.LoseReplyTo(Command("echo", "x"), 2)
	p.Resume(ToClient)
	c.expect(echoed("x"))
	c.echo("x")
	c.echo("y")
	c.send("PUSH", "x")
	c.expect(">2\r\n+message\r\n+x\r\n")
	c.expect("+OK\r\n")
	c.send("ECHO", "x")
	c.expectReset()
	fired(t, "the fault", f.Fired())
}

// Confirmations of SUBSCRIBE answer one request, though they look like pushes.
func TestPairingAfterSubscribe(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), RESP)
	c := dial(t, p.Addr())
	f := p.LoseReplyTo(Command("ECHO", "lost"), 1)
	c.send("SUBSCRIBE", "a", "b")
	c.send("ECHO", "kept")
	c.send("ECHO", "lost")
	c.expect(">3\r\n$9\r\nsubscribe\r\n+a\r\n:1\r\n")
	c.expect(">3\r\n$9\r\nsubscribe\r\n+b\r\n:2\r\n")
	c.expect(echoed("kept"))
	c.expectReset()
	fired(t, "the fault", f.Fired())
	if got := p.Counts(); got.Replies != 4 || got.Pushes != 0 {
		t.Errorf("Counts() = %+v", got)
	}
}

func TestLoseRequest(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), RESP)
	c := dial(t, p.Addr())
	f := p.LoseRequest(Command("ECHO"), 2)
	c.echo("first")
	c.send("ECHO", "second")
	c.expectReset()
	fired(t, "the fault", f.Fired())
	if s.carriedOut("ECHO second") {
		t.Error("the request was carried out")
	}
}

func TestSwallowPush(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), RESP)
	c := dial(t, p.Addr())
	f := p.SwallowPush(func(push []byte) bool { return strings.Contains(string(push), "secret") }, 1)
	c.send("PUSH", "public")
	c.expect(">2\r\n+message\r\n+public\r\n")
	c.expect("+OK\r\n")
	c.send("PUSH", "secret")
	c.expect("+OK\r\n")
	fired(t, "the fault", f.Fired())
	c.echo("still there")
}

func TestHoldRequest(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), RESP)
	c, other := dial(t, p.Addr()), dial(t, p.Addr())
	h := p.HoldRequest(Command("ECHO", "held"), 1)
	c.echo("before")
	c.send("ECHO", "held")
	c.send("ECHO", "behind")
	fired(t, "the request is held", h.Fired())
	other.echo("overtakes")
	c.close() // the client gives up
	if s.carriedOut("ECHO held") || s.carriedOut("ECHO behind") {
		t.Fatal("the request was not held")
	}
	h.Release()
	fired(t, "the request is delivered", h.Delivered())
	eventually(t, "both are carried out", func() bool {
		return s.carriedOut("ECHO held") && s.carriedOut("ECHO behind")
	})
	eventually(t, "the connection ends", func() bool { return p.Counts().Open == 1 && s.open() == 1 })
	other.echo("held") // only one was to be held
}

func TestHoldReplyTo(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), RESP)
	c := dial(t, p.Addr())
	h := p.HoldReplyTo(Command("ECHO", "held"), 1)
	c.send("ECHO", "held")
	fired(t, "the reply is held", h.Fired())
	if !s.carriedOut("ECHO held") {
		t.Error("the request was not carried out")
	}
	c.expectSilence()
	h.Release()
	c.expect(echoed("held"))
}

func TestHealDisarmsAndReleases(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), RESP)
	c := dial(t, p.Addr())
	h := p.HoldRequest(nil, 1)
	lose := p.LoseReply(1)
	cancelled := p.LoseRequest(nil, 1)
	cancelled.Cancel()
	c.send("ECHO", "a")
	fired(t, "the request is held", h.Fired())
	p.Heal()
	c.expect(echoed("a"))
	c.echo("b")
	for what, f := range map[string]*Fault{"healed": lose, "cancelled": cancelled} {
		select {
		case <-f.Fired():
			t.Errorf("a fault that was %s has happened", what)
		default:
		}
	}
}
