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
