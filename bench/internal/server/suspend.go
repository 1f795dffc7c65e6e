package server

import (
	"errors"
	"fmt"
	"os"
)

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
