package proxy

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// server is a RESP server that notes what it carries out. ECHO x answers x, SUB
// answers two confirmations, PUSH x sends a push before its answer.
type server struct {
	listener net.Listener
	running  sync.WaitGroup

	mu    sync.Mutex
	done  []string // the commands carried out, their words joined by spaces
	conns map[net.Conn]struct{}
}

func startServer(t *testing.T) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{listener: l, conns: map[net.Conn]struct{}{}}
	s.running.Go(s.accept)
	t.Cleanup(func() {
		l.Close()
		s.hangUp()
		s.running.Wait()
	})
	return s
}

func (s *server) addr() string { return s.listener.Addr().String() }

func (s *server) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[c] = struct{}{}
		s.mu.Unlock()
		s.running.Go(func() { s.serve(c) })
	}
}

// hangUp closes all connections.
func (s *server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

func (s *server) serve(c net.Conn) {
	defer func() {
		c.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	in := &reader{conn: c, framer: &respFramer{inline: true}}
	for {
		request, err := in.next()
		if err != nil {
			return
		}
		args := Args(request)
		s.mu.Lock()
		s.done = append(s.done, strings.Join(args, " "))
		s.mu.Unlock()
		if _, err := c.Write([]byte(answer(args))); err != nil {
			return
		}
	}
}

func answer(args []string) string {
	switch {
	case len(args) == 2 && args[0] == "ECHO":
		return fmt.Sprintf("$%d\r\n%s\r\n", len(args[1]), args[1])
	case len(args) == 2 && args[0] == "PUSH":
		return fmt.Sprintf(">2\r\n+message\r\n+%s\r\n+OK\r\n", args[1])
	case args[0] == "SUBSCRIBE":
		return ">3\r\n$9\r\nsubscribe\r\n+a\r\n:1\r\n>3\r\n$9\r\nsubscribe\r\n+b\r\n:2\r\n"
	}
	return "+OK\r\n"
}

func (s *server) carriedOut(command string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.done, command)
}

func (s *server) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// eventually fails the test unless ok becomes true soon.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// fired fails the test unless c is closed soon.
func fired(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(5 * time.Second):
		t.Fatalf("not in time: %s", what)
	}
}
