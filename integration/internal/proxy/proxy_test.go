package proxy

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestForwards(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), RESP)
	c := dial(t, p.Addr())
	c.echo("hello")
	c.echo(strings.Repeat("x", 1<<20))
	if got := p.Counts(); got.Accepted != 1 || got.Open != 1 || got.Requests != 2 || got.Replies != 2 {
		t.Errorf("Counts() = %+v", got)
	}
	c.close()
	eventually(t, "the connection ends on both sides", func() bool { return p.Counts().Open == 0 && s.open() == 0 })
}

func TestServerHangsUp(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), RESP)
	c := dial(t, p.Addr())
	c.echo("hello")
	s.hangUp()
	c.expectClosed()
	c.send("ECHO", "into the void") // a dead server's kernel answers with a reset
	eventually(t, "the connection ends", func() bool { return p.Counts().Open == 0 })
}

func TestServerDown(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), RESP)
	s.listener.Close()
	// The reset may arrive before the client knows that it is connected.
	client, err := net.Dial("tcp", p.Addr())
	if err == nil {
		defer client.Close()
		_, err = client.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
}

func TestManyConnectionsAtOnce(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), RESP)
	t.Run("clients", func(t *testing.T) {
		for i := range 8 {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				for range 10 {
					c := dial(t, p.Addr())
					c.echo("a")
					c.echo("b")
					c.close()
				}
			})
		}
	})
	eventually(t, "all connections end", func() bool { return p.Counts().Open == 0 })
	if got := p.Counts(); got.Accepted != 80 || got.Requests != 160 || got.Replies != 160 {
		t.Errorf("Counts() = %+v", got)
	}
}

func TestPipelinedRequestsAreCounted(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), RESP)
	before := p.Counts()
	c := dial(t, p.Addr())
	pipeline := command("ECHO", "a") + "PING\r\n\r\n" + command("PUSH", "news") + command("ECHO", "b")
	if _, err := c.in.conn.Write([]byte(strings.ReplaceAll(pipeline, "\r\n\r\n", "\r\n"))); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{echoed("a"), "+OK\r\n", ">2\r\n+message\r\n+news\r\n", "+OK\r\n", echoed("b")} {
		c.expect(want)
	}
	got := p.Counts().Since(before)
	if got.Requests != 4 || got.Replies != 4 || got.Pushes != 1 || got.ToServer == 0 || got.ToClient == 0 {
		t.Errorf("Counts() = %+v", got)
	}
}

func TestAnotherProtocolPassesUnframed(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), func() Session { return InOrder(&prefixed{}) })
	c := dial(t, p.Addr())
	c.echo("hello")
	if got := p.Counts(); got.Unframed != 1 || got.Requests != 0 || got.Replies != 0 {
		t.Errorf("Counts() = %+v", got)
	}
}

func TestClose(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), RESP)
	a, b := dial(t, p.Addr()), dial(t, p.Addr())
	a.echo("hello")
	b.echo("hello")
	h := p.HoldRequest(nil, 1)
	p.Pause(ToClient)
	p.Delay(Both, 1<<40)
	a.send("ECHO", "held")
	b.send("ECHO", "delayed")
	fired(t, "a request is held", h.Fired())
	p.Close()
	p.Close()
	a.expectReset()
	b.expectReset()
	if c, err := net.Dial("tcp", p.Addr()); err == nil {
		c.Close()
		t.Error("a closed proxy accepts connections")
	}
}
