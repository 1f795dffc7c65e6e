// Package server starts and ends the one server that all contestants share.
package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Server is a server that answers.
type Server struct {
	Addr    string
	Version string

	process *exec.Cmd
	dir     string
	ended   chan struct{} // closed when the process is gone
}

// Running is a server that somebody else has started.
func Running(addr string) *Server { return &Server{Addr: addr} }

// Run starts a server that is to listen on Addr, a free loopback port. The command is made for that address, and for a
// directory that is removed in the end.
func Run(command func(addr, dir string) (*exec.Cmd, error)) (*Server, error) {
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "fencelock-bench-")
	if err != nil {
		return nil, err
	}
	s := &Server{Addr: addr, dir: dir, ended: make(chan struct{})}
	if err := s.run(command); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return s, nil
}

func (s *Server) run(command func(addr, dir string) (*exec.Cmd, error)) error {
	cmd, err := command(s.Addr, s.dir)
	if err != nil {
		return err
	}
	log, err := os.Create(s.logFile())
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the process has its own
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	s.process = cmd
	go func() {
		_ = cmd.Wait()
		close(s.ended)
	}()
	return nil
}

func (s *Server) logFile() string { return filepath.Join(s.dir, "server.log") }

// Await returns once the server answers, and notes its version.
func (s *Server) Await(ctx context.Context, limit time.Duration, version func(ctx context.Context) (string, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		v, err := version(ctx)
		if err == nil {
			s.Version = v
			return nil
		}
		select {
		case <-s.ended: // nil, and so for ever, when it is not ours
			return fmt.Errorf("the server ended at once; its last words: %s", s.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("no answer from the server at %s: %w", s.Addr, errors.Join(err, ctx.Err()))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *Server) lastWords() string {
	log, err := os.ReadFile(s.logFile())
	if err != nil {
		return err.Error()
	}
	log = bytes.TrimSpace(log)
	return string(log[max(0, len(log)-500):])
}

// Stop ends the server if Run started it.
func (s *Server) Stop() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(5 * time.Second):
		_ = s.process.Process.Kill()
		<-s.ended
	}
	_ = os.RemoveAll(s.dir)
}

// FreeAddr is a loopback address on which nobody listens.
func FreeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
