package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// speaker is a server that confirms subscriptions and sends messages.
type speaker struct {
	fakeServer
	gone    atomic.Bool // it refuses connections
	mu      sync.Mutex
	refuses bool
	conns   []net.Conn    // that have subscribed
	stopped chan struct{} // if it is not nil, nothing is answered before it is closed
}

// stop has the server do nothing until resume; connections to it can be made.
func (s *speaker) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = make(chan struct{})
}

func (s *speaker) resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped != nil {
		close(s.stopped)
		s.stopped = nil
	}
}

func (s *speaker) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if s.gone.Load() {
		s.dials.Add(1)
		return nil, syscall.ECONNREFUSED
	}
	return s.fakeServer.dial(ctx, network, addr)
}

func newSpeaker() *speaker {
	s := &speaker{}
	s.serves = s.serve
	return s
}

func (s *speaker) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		words, err := readCommand(r)
		if err != nil {
			return
		}
		s.mu.Lock()
		stopped := s.stopped
		s.mu.Unlock()
		if stopped != nil {
			<-stopped
		}
		s.mu.Lock()
		answer := "-ERR unknown command\r\n" // so that go-redis asks for no more
		switch {
		case words[0] == "subscribe" && s.refuses:
			answer = "-NOPERM no\r\n"
		case words[0] == "subscribe":
			answer = fmt.Sprintf("*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:1\r\n", len(words[1]), words[1])
			s.conns = append(s.conns, c)
		case words[0] == "ping" && slices.Contains(s.conns, c):
			answer = "*2\r\n$4\r\npong\r\n$0\r\n\r\n"
		case words[0] == "ping", words[0] == "echo":
			answer = "+" + words[len(words)-1] + "\r\n"
		}
		s.mu.Unlock()
		if _, err := io.WriteString(c, answer); err != nil {
			return
		}
	}
}

func (s *speaker) say(channel, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.conns[len(s.conns)-1]
	_, _ = fmt.Fprintf(c, "*3\r\n$7\r\nmessage\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(channel), channel, len(text), text)
}

func (s *speaker) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		_ = c.Close()
	}
	s.conns = nil
}

// heard collects what a subscription tells.
type heard struct {
	mu   sync.Mutex
	said []string
}

func (h *heard) take(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.said = append(h.said, text)
}

func (h *heard) again() { h.take("again") }

func (h *heard) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Equal(h.said, want) {
		t.Errorf("heard %q, want %q", h.said, want)
	}
}

func withSpeaker(t *testing.T, test func(t *testing.T, s *speaker, n *Node)) {
	synctest.Test(t, func(t *testing.T) {
		s := newSpeaker()
		n := New(context.Background(), Config{Options: s.conf()})
		defer n.Close()
		test(t, s, n)
	})
}

// What the server says is heard in order, and so is that some of it may have been lost.
func TestSubscribe(t *testing.T) {
	withSpeaker(t, func(t *testing.T, s *speaker, n *Node) {
		var h heard
		if err := n.Subscribe(t.Context(), "mine", h.take, h.again); err != nil {
			t.Fatal(err)
		}
		s.say("mine", "one")
		s.say("mine", "two")
		h.want(t, "one", "two")
		s.hangUp()
		time.Sleep(time.Second)
		h.want(t, "one", "two", "again")
		s.say("mine", "three")
		h.want(t, "one", "two", "again", "three")
		n.Close()
		time.Sleep(time.Minute)
		h.want(t, "one", "two", "again", "three")
	})
}

// Who was refused may ask again; a node that is closed refuses for good.
func TestSubscribeAfterAnError(t *testing.T) {
	withSpeaker(t, func(t *testing.T, s *speaker, n *Node) {
		var h heard
		s.refuses = true
		if err := n.Subscribe(t.Context(), "mine", h.take, h.again); !errors.Is(err, driver.ErrRefused) {
			t.Fatalf("a server that refuses: %v", err)
		}
		s.refuses = false
		if err := n.Subscribe(t.Context(), "mine", h.take, h.again); err != nil {
			t.Fatal(err)
		}
		s.say("mine", "one")
		h.want(t, "one")
		n.Close()
		if err := n.Subscribe(t.Context(), "mine", h.take, h.again); !errors.Is(err, ErrClosed) {
			t.Errorf("a node that is closed: %v", err)
		}
	})
}

// Close ends a Subscribe that waits for its server.
func TestSubscribeEndsWithTheNode(t *testing.T) {
	withSpeaker(t, func(t *testing.T, s *speaker, n *Node) {
		s.dialling = time.Hour
		began := time.Now()
		time.AfterFunc(time.Second, n.Close)
		if err := n.Subscribe(t.Context(), "mine", nil, nil); !errors.Is(err, ErrClosed) || time.Since(began) > 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}
