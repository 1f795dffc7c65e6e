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
	"strings"
	"syscall"
	"time"
)

// Server is a server that answers.
type Server struct {
	Addr    string
	Version string

	others  []*Server     // that are stopped with it
	command Command       // what runs it, if it is run here
	limit   time.Duration // for it to answer
	probe   Probe
	process *exec.Cmd
	dir     string
	ended   chan struct{} // closed when the process is gone
}

// A Command is what runs a server on a free loopback address, with a directory that is removed in the end.
type Command func(addr, dir string) (*exec.Cmd, error)

// A Probe asks the server at addr for its version, as a reader is to see it. An error says that it does not serve yet.
type Probe func(ctx context.Context, addr string) (version string, err error)

// Start uses the server at addr, which somebody else has started, or runs one by command when addr is empty. It returns
// once the server answers.
func Start(ctx context.Context, addr string, command Command, limit time.Duration, probe Probe) (*Server, error) {
	s := &Server{Addr: addr}
	if addr == "" {
		var err error
		if s, err = launch(command); err != nil {
			return nil, err
		}
	}
	s.limit, s.probe = limit, probe
	if err := s.await(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func launch(command Command) (*Server, error) {
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	return launchAt(addr, command)
}

func launchAt(addr string, command Command) (*Server, error) {
	dir, err := os.MkdirTemp("", "fencelock-bench-")
	if err != nil {
		return nil, err
	}
	s := &Server{Addr: addr, dir: dir, command: command}
	if err := s.run(); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return s, nil
}

func (s *Server) run() error {
	cmd, err := s.command(s.Addr, s.dir)
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
	ended := make(chan struct{})
	s.process, s.ended = cmd, ended
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	return nil
}

func (s *Server) logFile() string { return filepath.Join(s.dir, "server.log") }

// await returns once the server answers, and notes its version.
func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	for {
		v, err := s.probe(ctx, s.Addr)
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

// Stop ends the server if Start ran it, and those that belong to it.
func (s *Server) Stop() {
	for _, other := range s.others {
		other.Stop()
	}
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

// Kill ends the server at addr, this one or one of its others, without a word, if it has not ended. What it has on disk stays, and restart goes
// on with that: it returns once the server answers.
func (s *Server) Kill(addr string) (restart func(context.Context) error, err error) {
	one := s.find(addr)
	if one == nil {
		return nil, fmt.Errorf("no server was started at %s: it is not ours to kill", addr)
	}
	if err := one.process.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return nil, fmt.Errorf("killing the server at %s: %w", addr, err)
	}
	<-one.ended
	return func(ctx context.Context) error {
		if err := one.run(); err != nil {
			return err
		}
		return one.await(ctx)
	}, nil
}

func (s *Server) find(addr string) *Server {
	if s.process != nil && s.Addr == addr {
		return s
	}
	for _, other := range s.others {
		if found := other.find(addr); found != nil {
			return found
		}
	}
	return nil
}

// A MemberCommand is what runs one of several servers that know each other: the i-th of addrs.
type MemberCommand func(i int, addrs []string, dir string) (*exec.Cmd, error)

// StartSeveral runs n servers that form a cluster, and returns once all of them answer. Their addresses are one, with
// commas between.
func StartSeveral(ctx context.Context, n int, command MemberCommand, limit time.Duration, probe Probe) (*Server, error) {
	addrs := make([]string, n)
	for i := range addrs {
		var err error
		if addrs[i], err = FreeAddr(); err != nil {
			return nil, err
		}
	}
	all := &Server{Addr: strings.Join(addrs, ",")}
	for i, addr := range addrs {
		one, err := launchAt(addr, func(_, dir string) (*exec.Cmd, error) { return command(i, addrs, dir) })
		if err != nil {
			all.Stop()
			return nil, err
		}
		one.limit, one.probe = limit, probe
		all.others = append(all.others, one)
	}
	for _, one := range all.others {
		if err := one.await(ctx); err != nil {
			all.Stop()
			return nil, err
		}
		all.Version = one.Version
	}
	return all, nil
}

// With makes one of two servers that are measured beside each other: their addresses with a semicolon between.
func (s *Server) With(other *Server) *Server {
	return &Server{Addr: s.Addr + ";" + other.Addr, Version: s.Version + " beside " + other.Version, others: []*Server{s, other}}
}

// Suspend has the server at addr, this one or one of its others, do nothing until resume: the kernel still takes connections
// and bytes for it, and nobody answers. That is what a black hole looks like to a client.
func (s *Server) Suspend(addr string) (resume func() error, err error) {
	one := s.find(addr)
	if one == nil {
		return nil, fmt.Errorf("no server was started at %s: it is not ours to suspend", addr)
	}
	if err := one.signal(suspend); err != nil {
		return nil, fmt.Errorf("suspending the server at %s: %w", addr, err)
	}
	return func() error { return one.signal(resumes) }, nil
}

func (s *Server) signal(with os.Signal) error {
	if with == nil {
		return errors.ErrUnsupported
	}
	return s.process.Process.Signal(with)
}
