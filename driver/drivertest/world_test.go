package drivertest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
)

// world is mem behind a network, with sessions that can be killed: all hooks of
// a Harness, for trying the rules on a backend that keeps them and on mutants
// that do not.
type world struct {
	space *mem.Space
	// mutate makes a broken client out of a good one; it stands between the
	// client and the network. Nil leaves it good.
	mutate func(b driver.Backend) driver.Backend
	// outside makes the client broken on its own side of the network.
	outside func(b driver.Backend) driver.Backend
	failed  func()           // what a fail-over does
	erased  func(key string) // what the hook DestroyGrant does besides
	open    func(context.Context, *url.URL) (driver.Backend, error)
	want    driver.Info

	mu       sync.Mutex
	sessions map[driver.Backend]*session
	links    map[driver.Backend]*Link
	ctx      context.Context // done when the trial is over
	end      context.CancelFunc
}

const delay = 200 * time.Microsecond

func newWorld() *world {
	ctx, end := context.WithCancel(context.Background())
	return &world{
		ctx:      ctx,
		end:      end,
		open:     opener(nil),
		want:     want,
		space:    mem.NewSpace(),
		sessions: make(map[driver.Backend]*session),
		links:    make(map[driver.Backend]*Link),
	}
}

var want = mem.New(nil).Info()

func (w *world) harness(seed uint64) Harness {
	return Harness{
		New:  func(T) driver.Backend { return w.client() },
		Want: w.want,
		TTL:  time.Second,
		Seed: seed,
		DestroyGrant: func(t T, key string) {
			if err := mem.New(w.space).Evict(t.Context(), key, ""); err != nil {
				t.Errorf("hook DestroyGrant: %v", err)
			}
			if w.erased != nil {
				w.erased(key)
			}
		},
		Partition: func(_ T, b driver.Backend) func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.links[b].Cut()
		},
		KillSession: func(_ T, b driver.Backend) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.sessions[b].kill()
		},
		Failover: func(T) {
			if w.failed != nil {
				w.failed()
			}
		},
		Open: func(ctx context.Context, u *url.URL, _ driver.OpenOptions) (driver.Backend, error) {
			return w.open(ctx, u)
		},
		URL:     "world://here",
		BadURLs: map[string]string{"world://there": "there"},
		Away:    map[string]string{"world://away": "no route"},
	}
}

func (w *world) client() driver.Backend {
	s := &session{Backend: mem.New(w.space), mem: mem.New(w.space), mine: make(map[claimID]context.CancelCauseFunc)}
	b := driver.Backend(s)
	if w.mutate != nil {
		b = w.mutate(b)
	}
	l := NewLink(b, delay)
	b = l
	if w.outside != nil {
		b = w.outside(b)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	b = &handle{b} // hooks tell clients apart by address
	w.sessions[b], w.links[b] = s, l
	return b
}

type handle struct{ driver.Backend }

// server is a client that never dies.
func (w *world) server() driver.Backend { return mem.New(w.space) }

// opener knows world://here and no parameters; at world://away is no server. A mutant says more than it should
// about what it is given.
func opener(blab func(*url.URL) string) func(context.Context, *url.URL) (driver.Backend, error) {
	return func(_ context.Context, u *url.URL) (driver.Backend, error) {
		said := ""
		if blab != nil {
			said = blab(u)
		}
		for name := range u.Query() {
			return nil, fmt.Errorf("unknown parameter %q%s", name, said)
		}
		if u.Host == "away" {
			return nil, fmt.Errorf("%w: no route%s", driver.ErrUnavailable, said)
		}
		if u.Host != "here" {
			return nil, errors.New("unknown host " + u.Host + said)
		}
		return mem.New(nil), nil
	}
}

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

// hooked is a decorator: a method that is set replaces the one of the backend
// beneath.
type hooked struct {
	driver.Backend
	acquire func(context.Context, driver.Request) (driver.Grant, error)
	renew   func(context.Context, []driver.Grant) []driver.Renewal
	release func(context.Context, driver.Grant) error
	inspect func(context.Context, string) (driver.Status, error)
	evict   func(context.Context, string, string) error
	list    func(ctx context.Context, prefix, cursor string, limit int) (driver.Page, error)
	info    func() driver.Info
	close   func() error
}

// hook makes a mutant of a decorator that needs to know nothing but the backend.
func hook(f func(b driver.Backend) hooked) func(*world) func(driver.Backend) driver.Backend {
	return func(*world) func(driver.Backend) driver.Backend {
		return func(b driver.Backend) driver.Backend { return f(b) }
	}
}

// hookIn is the same for one that needs the world.
func hookIn(f func(w *world, b driver.Backend) hooked) func(*world) func(driver.Backend) driver.Backend {
	return func(w *world) func(driver.Backend) driver.Backend {
		return func(b driver.Backend) driver.Backend { return f(w, b) }
	}
}

func (h hooked) Acquire(ctx context.Context, req driver.Request) (driver.Grant, error) {
	if h.acquire != nil {
		return h.acquire(ctx, req)
	}
	return h.Backend.Acquire(ctx, req)
}

func (h hooked) Renew(ctx context.Context, grants []driver.Grant) []driver.Renewal {
	if h.renew != nil {
		return h.renew(ctx, grants)
	}
	return h.Backend.Renew(ctx, grants)
}

func (h hooked) Release(ctx context.Context, g driver.Grant) error {
	if h.release != nil {
		return h.release(ctx, g)
	}
	return h.Backend.Release(ctx, g)
}

func (h hooked) Inspect(ctx context.Context, key string) (driver.Status, error) {
	if h.inspect != nil {
		return h.inspect(ctx, key)
	}
	return h.Backend.Inspect(ctx, key)
}

func (h hooked) Evict(ctx context.Context, key, attemptID string) error {
	if h.evict != nil {
		return h.evict(ctx, key, attemptID)
	}
	return h.Backend.Evict(ctx, key, attemptID)
}

func (h hooked) ListHeld(ctx context.Context, prefix, cursor string, limit int) (driver.Page, error) {
	if h.list != nil {
		return h.list(ctx, prefix, cursor, limit)
	}
	return h.Backend.ListHeld(ctx, prefix, cursor, limit)
}

func (h hooked) Info() driver.Info {
	if h.info != nil {
		return h.info()
	}
	return h.Backend.Info()
}

func (h hooked) Close() error {
	if h.close != nil {
		return h.close()
	}
	return h.Backend.Close()
}
