package proxy

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// link is a connection through a proxy, with both ends in the hands of the test.
type link struct {
	t              *testing.T
	proxy          *Proxy
	client, server net.Conn
}

func startLink(t *testing.T, w *wire) *link {
	t.Helper()
	p, client, server := startRaw(t, GRPC)
	l := &link{t: t, proxy: p, client: client, server: server}
	l.send(http2Preface, w.settings())
	l.expect(http2Preface, w.settings())
	return l
}

func (l *link) send(frames ...string) {
	l.t.Helper()
	if _, err := l.client.Write([]byte(strings.Join(frames, ""))); err != nil {
		l.t.Fatal(err)
	}
}

// expect reads what the client has sent.
func (l *link) expect(frames ...string) {
	l.t.Helper()
	want := strings.Join(frames, "")
	got := make([]byte, len(want))
	_ = l.server.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, err := io.ReadFull(l.server, got); err != nil || string(got) != want {
		l.t.Fatalf("the server got %q, %v; want %q", got[:n], err, want)
	}
}

// The opening of a call waits until it is known what happens to its request, and
// never for longer.
func TestGRPCOpeningWaits(t *testing.T) {
	for name, then := range map[string]func(w *wire, l *link) string{
		"the request": func(w *wire, _ *link) string { return w.data(1, grpcBytes("k")) },
		"in pieces": func(w *wire, _ *link) string {
			return w.data(1, grpcBytes("k")[:3]) + w.data(1, grpcBytes("k")[3:])
		},
		"behind others": func(w *wire, _ *link) string {
			return w.call(3, rng) + w.data(1, grpcBytes("a")) + w.data(3, grpcBytes("b"))
		},
		"a cancellation": func(w *wire, _ *link) string {
			return w.frame(func() error { return w.framer.WriteRSTStream(1, http2.ErrCodeCancel) })
		},
		"the end": func(w *wire, _ *link) string {
			return w.frame(func() error { return w.framer.WriteData(1, true, nil) })
		},
		"too much": func(w *wire, _ *link) string {
			return w.data(1, "\x00\x00\x10\x00\x00"+strings.Repeat("x", maxWaiting))
		},
		"a close": func(_ *wire, l *link) string { l.client.Close(); return "" },
		"another protocol": func(*wire, *link) string {
			return "\x00\x00\x00\x00\x08\x00\x00\x00\x01"
		},
		"another protocol of the server": func(w *wire, l *link) string {
			if _, err := l.server.Write([]byte("HTTP/1.1 400 Bad Request\r\n")); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the proxy notices", func() bool { return l.proxy.Counts().Unframed == 1 })
			return w.frame(func() error { return w.framer.WritePing(false, [8]byte{}) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t)
			l := startLink(t, w)
			opening := w.call(1, put)
			l.send(opening)
			expectNothing(t, l.server)
			if rest := then(w, l); rest != "" {
				l.send(rest)
				l.expect(opening, rest)
			} else {
				l.expect(opening)
			}
		})
	}
}

func TestGRPCOpeningOfALeisurelyCall(t *testing.T) {
	w := newWire(t)
	l := startLink(t, w)
	opening := w.call(1, etcdWatch)
	l.send(opening)
	l.expect(opening)
}

// The server sees nothing of a request that is lost or held.
func TestGRPCOpeningSharesTheFate(t *testing.T) {
	for name, arm := range map[string]func(p *Proxy) *Fault{
		"lost": func(p *Proxy) *Fault { return p.LoseRequest(Method(put, "k"), 1) },
		"held": func(p *Proxy) *Fault { return p.HoldRequest(Method(put, "k"), 1).Fault },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t)
			l := startLink(t, w)
			before := []string{w.call(1, put), w.data(1, grpcBytes("other"))}
			struck := []string{w.call(3, put), w.data(3, grpcBytes("k"))}
			f := arm(l.proxy)
			l.send(before...)
			l.expect(before...)
			l.send(struck...)
			fired(t, "the fault", f.Fired())
			if f.then == lost {
				if n, err := l.server.Read(make([]byte, 1)); err == nil {
					t.Errorf("got %d bytes, want a reset", n)
				}
				return
			}
			expectNothing(t, l.server)
			Held{f}.Release()
			l.expect(struck...)
			fired(t, "it is delivered", Held{f}.Delivered())
		})
	}
}
