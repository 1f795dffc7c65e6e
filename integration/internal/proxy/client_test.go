package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// reader takes messages from a connection.
type reader struct {
	conn   net.Conn
	framer Framer
	rest   []byte
}

func (r *reader) next() ([]byte, error) {
	var message []byte
	for {
		for len(r.rest) > 0 {
			n, end, err := r.framer.Feed(r.rest)
			message = append(message, r.rest[:n]...)
			r.rest = r.rest[n:]
			if end || err != nil {
				return message, err
			}
		}
		buf := make([]byte, 512)
		n, err := r.conn.Read(buf)
		if n == 0 && err != nil {
			return nil, err
		}
		r.rest = buf[:n]
	}
}

// client is one connection through a proxy.
type client struct {
	t  *testing.T
	in *reader
}

func dial(t *testing.T, addr string) *client {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &client{t: t, in: &reader{conn: c, framer: &respFramer{}}}
}

// send sends a command in RESP.
func (c *client) send(words ...string) {
	c.t.Helper()
	if _, err := c.in.conn.Write([]byte(command(words...))); err != nil {
		c.t.Fatal(err)
	}
}

func command(words ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b.String()
}

// expect reads one message.
func (c *client) expect(want string) {
	c.t.Helper()
	_ = c.in.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	got, err := c.in.next()
	if err != nil || string(got) != want {
		c.t.Fatalf("reply = %q, %v; want %q", got, err, want)
	}
}

func (c *client) echo(word string) {
	c.t.Helper()
	c.send("ECHO", word)
	c.expect(echoed(word))
}

func echoed(word string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(word), word) }

// expectSilence checks that nothing arrives for a moment.
func (c *client) expectSilence() {
	c.t.Helper()
	_ = c.in.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if got, err := c.in.next(); !errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("reply = %q, %v; want silence", got, err)
	}
}

// expectReset checks that the connection was reset, not closed.
func (c *client) expectReset() {
	c.t.Helper()
	_ = c.in.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if got, err := c.in.next(); !errors.Is(err, syscall.ECONNRESET) {
		c.t.Fatalf("reply = %q, %v; want a reset", got, err)
	}
}

// expectClosed checks that the connection ends, without a reset.
func (c *client) expectClosed() {
	c.t.Helper()
	_ = c.in.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if got, err := c.in.next(); !errors.Is(err, io.EOF) {
		c.t.Fatalf("reply = %q, %v; want EOF", got, err)
	}
}

func (c *client) close() { c.in.conn.Close() }
