package proxy

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
)

// prefixed is a protocol unlike RESP, to show that the proxy needs nothing of RESP:
// messages with their length in front, pushes that begin with '!'.
type prefixed struct{}

func (*prefixed) Requests() Framer   { return &prefixFramer{} }
func (*prefixed) Replies() Framer    { return &prefixFramer{} }
func (*prefixed) Awaits([]byte) bool { return true }

func (*prefixed) Classify(message, _ []byte) Kind {
	if message[4] == '!' {
		return Push
	}
	return Answer
}

func prefixedMessage(text string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...)
}

type prefixFramer struct {
	head []byte
	left int
}

func (f *prefixFramer) Feed(p []byte) (int, bool, error) {
	for i := range p {
		if len(f.head) == 4 {
			if f.left--; f.left == 0 {
				f.head = nil
				return i + 1, true, nil
			}
			continue
		}
		if f.head = append(f.head, p[i]); len(f.head) == 4 {
			f.left = int(binary.BigEndian.Uint32(f.head))
			if f.left == 0 || f.left > 1<<16 {
				return i + 1, false, errors.New("no length")
			}
		}
	}
	return len(p), false, nil
}

func startPrefixed(t *testing.T) (p *Proxy, client, server net.Conn) {
	t.Helper()
	return startRaw(t, func() Session { return InOrder(&prefixed{}) })
}

// startRaw returns both ends of a connection through a proxy.
func startRaw(t *testing.T, protocol Protocol) (p *Proxy, client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p = Start(t, l.Addr().String(), protocol)
	client, err = net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return p, client, server
}

func TestAnyProtocol(t *testing.T) {
	p, client, server := startPrefixed(t)
	f := p.LoseReplyTo(func(m []byte) bool { return string(m[4:]) == "two" }, 1)
	write(t, client, "one", "two")
	expectBytes(t, server, "one", "two")
	write(t, server, "!news", "first")
	expectBytes(t, client, "!news", "first")
	write(t, server, "second")
	fired(t, "the second reply is lost", f.Fired())
	if got := p.Counts(); got.Requests != 2 || got.Replies != 2 || got.Pushes != 1 {
		t.Errorf("Counts() = %+v", got)
	}
}

func write(t *testing.T, c net.Conn, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if _, err := c.Write(prefixedMessage(text)); err != nil {
			t.Fatal(err)
		}
	}
}

func expectBytes(t *testing.T, c net.Conn, texts ...string) {
	t.Helper()
	for _, text := range texts {
		want := string(prefixedMessage(text))
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
	}
}
