package servers

import (
	"context"
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
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for n := 1; ; n++ {
		err := s.kind.ping(ctx, s.addr)
		if err == nil {
			return nil
		}
		// Asking Docker costs more than asking the server: not every time.
		if n%20 == 0 && !s.machine.running(ctx) {
			err = errEnded
		} else {
			select {
			case <-again.C:
				continue
			case <-ctx.Done():
			}
		}
		return fmt.Errorf("%s does not answer at %s: %w\n%s", s.kind, s.addr, err, s.machine.log(context.WithoutCancel(ctx)))
	}
}
