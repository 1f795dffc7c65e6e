package server

import (
	"context"
	"fmt"
)

// Kill ends the server at addr, this one or one of its others, without a word. What it has on disk stays, and restart goes
// on with that: it returns once the server answers.
func (s *Server) Kill(addr string) (restart func(context.Context) error, err error) {
	one := s.find(addr)
	if one == nil {
		return nil, fmt.Errorf("no server was started at %s: it is not ours to kill", addr)
	}
	if err := one.process.Process.Kill(); err != nil {
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
