package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"
)

// Network listens and dials. It is safe for concurrent use.
type Network interface {
	// Listen listens on an address of this machine.
	Listen(addr string) (net.Listener, error)
	// Dial connects to a member. It returns soon after ctx is done. Its errors are a [Reason] or a
	// [Mismatch] where possible, and do not say that a context has ended.
	Dial(ctx context.Context, addr string) (net.Conn, error)
}

// dialTimeout bounds one attempt to connect, which the operating system would bound by minutes.
const dialTimeout = 3 * time.Second

// system is the network of the operating system.
type system struct{ dialer net.Dialer }

// System returns the network of the operating system. A connection whose other end has gone
// without a word is found out within about 15 s.
func System() Network {
	keep := net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 5}
	return &system{net.Dialer{Timeout: dialTimeout, KeepAliveConfig: keep}}
}

// Split returns what net.Dial calls network and address.
func Split(addr string) (kind, rest string) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return "unix", path
	}
	return "tcp", addr
}

// Listen says what to do if the address is taken.
func (s *system) Listen(addr string) (net.Listener, error) {
	kind, rest := Split(addr)
	if kind == "unix" {
		return ListenUnix(rest, NoGroup)
	}
	lc := net.ListenConfig{KeepAliveConfig: s.dialer.KeepAliveConfig}
	l, err := lc.Listen(context.Background(), kind, rest)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("the address %s is in use: end the program that listens there, or listen on another port: %w", addr, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("the address %s is not one of this machine: listen on one of its own, or on :port for all of them: %w", addr, err)
	case err != nil:
		return nil, fmt.Errorf("listening on %s: %w", addr, err)
	}
	return l, nil
}

func (s *system) Dial(ctx context.Context, addr string) (net.Conn, error) {
	kind, rest := Split(addr)
	if kind == "unix" {
		conn, err := s.dialUnix(ctx, rest)
		return conn, Plain(err, Mute)
	}
	conn, err := s.dialer.DialContext(ctx, kind, rest)
	return conn, Plain(err, unreached)
}
