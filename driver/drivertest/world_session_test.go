package drivertest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/fencelock/fencelock/driver"
)

// session ties the claims of a client to a session that can die, as ZooKeeper
// and etcd do.
type session struct {
	driver.Backend
	mem driver.Backend // the server's own hand

	mu   sync.Mutex
	mine map[claimID]context.CancelCauseFunc
}

type claimID struct{ key, attemptID string }

var errSession = fmt.Errorf("%w: session died", driver.ErrUnavailable)

// Acquire notes the claim before it asks, so that a session that dies at any
// moment takes it along.
func (s *session) Acquire(ctx context.Context, req driver.Request) (driver.Grant, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	id := claimID{req.Key, req.AttemptID}
	s.mu.Lock()
	s.mine[id] = cancel
	s.mu.Unlock()
	g, err := s.Backend.Acquire(ctx, req)
	if cause := context.Cause(ctx); errors.Is(cause, errSession) {
		return driver.Grant{}, errSession
	}
	return g, err
}

func (s *session) Release(ctx context.Context, g driver.Grant) error {
	err := s.Backend.Release(ctx, g)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.mine, claimID{g.Key, g.AttemptID})
	return err
}

// kill ends the waits first, so that none of them is granted by the releases.
func (s *session) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx := context.Background()
	for id, cancel := range s.mine {
		cancel(errSession)
		if st, err := s.mem.Inspect(ctx, id.key); err == nil && st.Held() && st.Holders[0].AttemptID == id.attemptID {
			_ = s.mem.Evict(ctx, id.key, "")
		} else {
			_ = s.mem.Release(ctx, driver.Grant{Key: id.key, AttemptID: id.attemptID})
		}
	}
	clear(s.mine)
}
