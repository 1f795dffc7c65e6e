package zookeeper

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/fencelock/fencelock/driver"
)

// listen is a server that accepts connections, each of which handle gets.
func listen(t *testing.T, handle func(net.Conn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				handle(c)
			}()
		}
	}()
	return l.Addr().String()
}

func hangUp(net.Conn) {}

func sayNothing(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// TestWhyNoSession: Open says what the servers did.
func TestWhyNoSession(t *testing.T) {
	hung := listen(t, hangUp)
	mute := listen(t, sayNothing)
	for host, words := range map[string][]string{
		hung:              {hung, "maxClientCnxns", "majority"},
		mute:              {mute, "said nothing"},
		"127.0.0.1:1":     {"refused"},
		hung + "," + mute: {"no server accepts a session"},
	} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			b, err := Open(t.Context(), &url.URL{Scheme: "zookeeper", Host: host}, driver.OpenOptions{})
			if err == nil {
				_ = b.Close()
			}
			if !errors.Is(err, driver.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
				t.Fatalf("Open = %v, want ErrUnavailable and no error of a context", err)
			}
			for _, word := range words {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("Open = %v, want %q in it", err, word)
				}
			}
		})
	}
}
