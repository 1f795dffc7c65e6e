//go:build unix

package node

import (
	"context"
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// A server whose packets are dropped does not refuse a connection: dialling hangs.
// That, too, is part of a request, and ends with its timeout.
func TestHangingDialEndsWithTheRequest(t *testing.T) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(fd) }()
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil { // a queue that the next connection fills
		t.Fatal(err)
	}
	name, _ := syscall.Getsockname(fd)
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(name.(*syscall.SockaddrInet4).Port))
	for range 3 {
		if c, err := net.DialTimeout("tcp", addr, 200*time.Millisecond); err == nil {
			defer c.Close()
		}
	}
	conf := BaseOptions()
	conf.Network, conf.Addr, conf.Dialer = "tcp", addr, Dialer(nil, "")
	closing, end := context.WithCancel(t.Context())
	defer end()
	p := newPipeline(closing, conf, 8, 2)
	defer p.close()
	began := time.Now()
	err = p.do(t.Context(), 300*time.Millisecond, goredis.NewCmd(t.Context(), "ping"))
	if took := time.Since(began); err == nil || took > 2*time.Second {
		t.Errorf("a request with a timeout of 300ms took %v: %v", took, err)
	}
}
