package redisbench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// AddrVariable names the environment variable with the address of a running server.
const AddrVariable = "FENCELOCK_REDIS_ADDR"

// Server is the one server that all contestants share.
type Server struct {
	Addr    string
	Version string

	process *exec.Cmd
	dir     string
}

// Start uses the server at addr, or starts one on a free loopback port when addr is empty. The latter keeps nothing on
// disk: what is compared is the cost of the locks, and a disk would only add the same noise to everybody.
func Start(ctx context.Context, addr string) (*Server, error) {
	s := &Server{Addr: addr}
	if addr == "" {
		if err := s.spawn(); err != nil {
			return nil, err
		}
	}
	if err := s.await(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *Server) spawn() error {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return fmt.Errorf("there is no Redis to measure: install redis-server, or name a running one by -addr or %s", AddrVariable)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.Addr = l.Addr().String()
	_, port, _ := net.SplitHostPort(s.Addr)
	if err := l.Close(); err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "fencelock-bench-"); err != nil {
		return err
	}
	s.process = exec.Command(path, "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", s.dir)
	return s.process.Start()
}

// await returns once the server answers, and learns its version.
func (s *Server) await(ctx context.Context) error {
	c := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1})
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		info, err := c.Info(ctx, "server").Result()
		if err == nil {
			s.Version = version(info)
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no answer from Redis at %s: %w", s.Addr, errors.Join(err, ctx.Err()))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func version(info string) string {
	for lines := bufio.NewScanner(strings.NewReader(info)); lines.Scan(); {
		if v, ok := strings.CutPrefix(lines.Text(), "redis_version:"); ok {
			return "Redis " + v
		}
	}
	return "Redis of unknown version"
}

// Stop ends the server if Start started it.
func (s *Server) Stop() {
	if s.process != nil && s.process.Process != nil {
		_ = s.process.Process.Signal(os.Interrupt)
		_ = s.process.Wait()
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}
