package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
)

// The client's connection breaks while its request is under way. It goes on with
// another one, and the first request comes late.
func TestCutClient(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), RESP)
	c := dial(t, p.Addr())
	h := p.HoldRequest(Command("ECHO", "held"), 1)
	h.CutClient() // nothing to cut yet
	c.echo("before")
	c.send("ECHO", "held")
	fired(t, "the request is held", h.Fired())
	h.CutClient()
	c.expectReset()
	dial(t, p.Addr()).echo("overtakes")
	if s.carriedOut("ECHO held") {
		t.Fatal("the request was not held")
	}
	h.Release()
	eventually(t, "it is carried out", func() bool { return s.carriedOut("ECHO held") })
	eventually(t, "the connection ends", func() bool { return s.open() == 1 })
}

func TestCutClientOfAHeldReply(t *testing.T) {
	s := startServer(t)
	p := Start(t, s.addr(), RESP)
	c := dial(t, p.Addr())
	h := p.HoldReplyTo(Command("ECHO", "held"), 1)
	c.send("ECHO", "held")
	fired(t, "the reply is held", h.Fired())
	h.CutClient()
	c.expectReset()
	h.ReleaseAlone()
	eventually(t, "the connection ends", func() bool { return p.Counts().Open == 0 && s.open() == 0 })
}

// What follows is delivered after the answer.
func TestReleaseAlone(t *testing.T) {
	p, client, server := startPrefixed(t)
	h := p.HoldRequest(nil, 2)
	write(t, client, "before", "first", "second")
	client.Close()
	expectBytes(t, server, "before")
	fired(t, "the request is held", h.Fired())
	h.ReleaseAlone()
	expectBytes(t, server, "first")
	write(t, server, "answer to before", "!push")
	expectNothing(t, server)
	write(t, server, "answer to first")
	expectBytes(t, server, "second")
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want the end", err)
	}
}

// expectNothing checks that nothing arrives for a moment.
func expectNothing(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	defer func() { _ = c.SetReadDeadline(time.Time{}) }()
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %d bytes, %v; want silence", n, err)
	}
}

// A server that goes away does not answer: the connection must end all the same.
func TestReleaseAloneOfWhatIsNeverAnswered(t *testing.T) {
	for name, end := range map[string]func(*server, *Proxy){
		"the server ends": func(s *server, _ *Proxy) { s.hangUp() },
		"healed":          func(_ *server, p *Proxy) { p.Heal() },
		"reset":           func(_ *server, p *Proxy) { p.Reset() },
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			p := Start(t, s.addr(), func() Session { return InOrder(&mute{}) })
			c := dial(t, p.Addr())
			h := p.HoldRequest(nil, 1)
			c.send("ECHO", "first")
			fired(t, "the request is held", h.Fired())
			h.ReleaseAlone()
			fired(t, "the request is delivered", h.Delivered())
			eventually(t, "the server has accepted", func() bool { return s.open() > 0 })
			c.send("ECHO", "behind")
			c.close()
			end(s, p)
			eventually(t, "the connection ends", func() bool { return p.Counts().Open == 0 && s.open() == 0 })
		})
	}
}

// mute is RESP in which no request is answered.
type mute struct{ resp }

func (*mute) Awaits([]byte) bool { return false }

// A gRPC server drops a call whose cancellation it reads with it. Released alone it
// is carried out, and overtaken by what the client did meanwhile.
func TestGRPCReleaseAlone(t *testing.T) {
	for name, giveUp := range map[string]func(h Held, cancel func()){
		"cancelled":    func(_ Held, cancel func()) { cancel() },
		"out of time":  func(Held, func()) {}, // the server is told how much it has
		"disconnected": func(h Held, _ func()) { h.CutClient() },
	} {
		t.Run(name, func(t *testing.T) {
			s := startHealthServer(t)
			p := Start(t, s.addr, GRPC)
			c := healthClient(t, p)
			if code := checkOf(t.Context(), t, c, "before"); code != codes.NotFound {
				t.Fatalf("Check = %v", code)
			}
			h := p.HoldRequest(Method(check, patient), 1)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
			defer cancel()
			answered := make(chan codes.Code, 1)
			go func() { answered <- checkOf(ctx, t, c, patient) }()
			fired(t, "the request is held", h.Fired())
			giveUp(h, cancel)
			if code := <-answered; code == codes.OK {
				t.Errorf("Check = %v", code)
			}
			other := healthClient(t, p)
			if code := checkOf(t.Context(), t, other, "overtakes"); code != codes.NotFound || s.carriedOut(patient) != 0 {
				t.Errorf("Check = %v", code)
			}
			h.ReleaseAlone()
			eventually(t, "it is carried out", func() bool { return s.carriedOut(patient) == 1 })
		})
	}
}
