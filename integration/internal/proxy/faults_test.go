package proxy

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"
)

func TestDelay(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), RESP)
	c := dial(t, p.Addr())
	for _, tc := range []struct {
		dir  Direction
		want time.Duration
	}{{ToServer, 30 * time.Millisecond}, {ToClient, 30 * time.Millisecond}, {Both, 60 * time.Millisecond}} {
		p.Delay(Both, 0)
		p.Delay(tc.dir, 30*time.Millisecond)
		start := time.Now()
		c.echo("slow")
		if took := time.Since(start); took < tc.want {
			t.Errorf("%v: the answer took %v, want %v", tc.dir, took, tc.want)
		}
	}
}

func TestDelayIsLatencyNotBandwidth(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), RESP)
	c := dial(t, p.Addr())
	p.Delay(Both, 100*time.Millisecond)
	start := time.Now()
	const n = 50
	for range n {
		c.send("ECHO", "x")
		time.Sleep(time.Millisecond) // so that each travels by itself
	}
	for range n {
		c.expect(echoed("x"))
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("%d requests under way at once took %v", n, took)
	}
}

func TestLoweringDelayHurriesWhatIsUnderWay(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), RESP)
	c := dial(t, p.Addr())
	p.Delay(ToServer, time.Hour)
	c.send("ECHO", "x")
	c.expectSilence()
	p.Delay(ToServer, 0)
	c.expect(echoed("x"))
}

func TestBlackhole(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), RESP)
	c, idle := dial(t, p.Addr()), dial(t, p.Addr())
	c.echo("before")
	idle.echo("before")
	connected := s.open()

	p.Blackhole()
	c.send("ECHO", "swallowed")
	c.expectSilence()
	late := dial(t, p.Addr())
	late.send("ECHO", "swallowed")
	late.expectSilence()
	if s.carriedOut("ECHO swallowed") || s.open() != connected {
		t.Error("the server learned of something")
	}

	p.Heal()
	c.expectReset()
	late.expectReset()
	idle.echo("after") // nothing of it was swallowed
	dial(t, p.Addr()).echo("after")
}

func TestBlackholeSwallowsTheEnd(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), RESP)
	gone, left := dial(t, p.Addr()), dial(t, p.Addr())
	gone.echo("before")
	left.echo("before")

	p.Blackhole()
	gone.close()
	s.listener.Close()
	left.expectSilence()
	if s.open() != 2 || p.Counts().Open != 2 {
		t.Errorf("%d connections at the server, %d at the proxy; want two half-open", s.open(), p.Counts().Open)
	}
	s.hangUp()
	left.expectSilence()

	p.Heal()
	left.expectReset()
	eventually(t, "all connections end", func() bool { return p.Counts().Open == 0 && s.open() == 0 })
}

func TestDropToServer(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), RESP)
	c := dial(t, p.Addr())
	c.echo("before")
	p.Drop(ToServer)
	c.send("ECHO", "swallowed")
	c.expectSilence()
	if s.carriedOut("ECHO swallowed") {
		t.Error("the request arrived")
	}
	p.Heal()
	c.expectReset()
}

func TestDropToClient(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), RESP)
	p.Drop(ToClient)
	c := dial(t, p.Addr())
	c.send("ECHO", "unanswered")
	eventually(t, "the request is carried out", func() bool { return s.carriedOut("ECHO unanswered") })
	c.expectSilence()
	p.Heal()
	c.expectReset()
}

func TestReset(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), RESP)
	a, b := dial(t, p.Addr()), dial(t, p.Addr())
	a.echo("before")
	b.echo("before")
	p.Reset()
	a.expectReset()
	b.expectReset()
	eventually(t, "the server sees the ends", func() bool { return s.open() == 0 })
	dial(t, p.Addr()).echo("after")
}

func TestRefuse(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), RESP)
	c := dial(t, p.Addr())
	c.echo("before")
	for range 3 {
		p.Refuse()
		p.Refuse()
		if other, err := net.Dial("tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
			if err == nil {
				other.Close()
			}
			t.Fatalf("Dial = %v, want connection refused", err)
		}
		c.echo("still there")
		p.Admit()
		p.Admit()
		dial(t, p.Addr()).echo("after")
	}
	p.Refuse()
	p.Heal()
	dial(t, p.Addr()).echo("after")
	p.Refuse() // Close must cope with it
}

func TestPauseDeliversLate(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), RESP)
	c := dial(t, p.Addr())
	c.echo("before")

	p.Pause(ToServer)
	c.send("ECHO", "late")
	c.expectSilence()
	late := dial(t, p.Addr())
	late.send("ECHO", "later")
	late.expectSilence()
	c.close()
	late.close()
	if s.carriedOut("ECHO late") || s.carriedOut("ECHO later") {
		t.Fatal("a request was not held back")
	}

	p.Resume(ToServer)
	eventually(t, "the requests of clients that have gone arrive", func() bool {
		return s.carriedOut("ECHO late") && s.carriedOut("ECHO later")
	})
	eventually(t, "the connections end", func() bool { return p.Counts().Open == 0 && s.open() == 0 })
}

func TestPauseToClient(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), RESP)
	c := dial(t, p.Addr())
	p.Pause(ToClient)
	c.send("ECHO", "a")
	eventually(t, "the request is carried out", func() bool { return s.carriedOut("ECHO a") })
	c.expectSilence()
	p.Resume(ToClient)
	c.expect(echoed("a"))
	c.echo("b")
}
