package servers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"
)

// errEnded is the reason when a server ends in place of answering.
var errEnded = errors.New("it has ended")

// await returns when the server answers, or with its last words when it ends or
// takes too long.
func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	began := time.Now()
	for n := 1; ; n++ {
		err := s.answers(ctx)
		if err == nil {
			return nil
		}
		// Asking Docker costs more than asking the server: not every time.
		if n%20 == 0 && !s.machine.running(ctx) {
			err = errEnded
		} else {
			// A tenth of what it took until now: who asks a starting JVM all the time
			// keeps it from its start.
			select {
			case <-time.After(min(max(time.Since(began)/10, 5*time.Millisecond), 100*time.Millisecond)):
				continue
			case <-ctx.Done():
			}
		}
		return fmt.Errorf("%s does not answer at %s: %w\n%s", s.kind, s.addr, err, s.machine.log(context.WithoutCancel(ctx)))
	}
}

// answers asks at the port for TLS as well, which a server may open after the
// other.
func (s *Server) answers(ctx context.Context) error {
	err := s.kind.ping(ctx, s.addr)
	if err != nil || s.certs == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	c, err := (&tls.Dialer{Config: s.certs.config()}).DialContext(ctx, "tcp", s.tlsAddr)
	if err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	return c.Close()
}
