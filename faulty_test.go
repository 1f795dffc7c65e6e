package fencelock_test

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
)

// faulty is a backend over mem whose calls a test can count and bend.
type faulty struct {
	driver.Backend

	acquires, renews, releases, renewed atomic.Int64

	mu       sync.Mutex
	requests []driver.Request
	acquire  func(ctx context.Context, req driver.Request) (driver.Grant, error)
	renew    func(ctx context.Context, grants []driver.Grant) []driver.Renewal
	release  func(ctx context.Context, g driver.Grant) error
	evict    func(ctx context.Context, key string) error
	inspect  func(ctx context.Context, key string) (driver.Status, error)
	close    func() error
}

func newFaulty(space *mem.Space) *faulty { return &faulty{Backend: mem.New(space)} }

// onAcquire and so on replace a call from now on; nil brings mem's own back.
func (f *faulty) onAcquire(fn func(context.Context, driver.Request) (driver.Grant, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.acquire = fn
}

func (f *faulty) onRenew(fn func(context.Context, []driver.Grant) []driver.Renewal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.renew = fn
}

func (f *faulty) onRelease(fn func(context.Context, driver.Grant) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.release = fn
}

func (f *faulty) Acquire(ctx context.Context, req driver.Request) (driver.Grant, error) {
	f.acquires.Add(1)
	f.mu.Lock()
	f.requests = append(f.requests, req)
	bent := f.acquire
	f.mu.Unlock()
	if bent != nil {
		return bent(ctx, req)
	}
	return f.Backend.Acquire(ctx, req)
}

func (f *faulty) Renew(ctx context.Context, grants []driver.Grant) []driver.Renewal {
	f.renews.Add(1)
	f.renewed.Add(int64(len(grants)))
	f.mu.Lock()
	bent := f.renew
	f.mu.Unlock()
	if bent != nil {
		return bent(ctx, grants)
	}
	return f.Backend.Renew(ctx, grants)
}

func (f *faulty) Release(ctx context.Context, g driver.Grant) error {
	f.releases.Add(1)
	f.mu.Lock()
	bent := f.release
	f.mu.Unlock()
	if bent != nil {
		return bent(ctx, g)
	}
	return f.Backend.Release(ctx, g)
}

func (f *faulty) onEvict(fn func(context.Context, string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.evict = fn
}

func (f *faulty) onInspect(fn func(context.Context, string) (driver.Status, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inspect = fn
}

func (f *faulty) onClose(fn func() error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.close = fn
}

func (f *faulty) Evict(ctx context.Context, key, attemptID string) error {
	f.mu.Lock()
	bent := f.evict
	f.mu.Unlock()
	if bent != nil {
		return bent(ctx, key)
	}
	return f.Backend.Evict(ctx, key, attemptID)
}

func (f *faulty) Inspect(ctx context.Context, key string) (driver.Status, error) {
	f.mu.Lock()
	bent := f.inspect
	f.mu.Unlock()
	if bent != nil {
		return bent(ctx, key)
	}
	return f.Backend.Inspect(ctx, key)
}

func (f *faulty) Close() error {
	f.mu.Lock()
	bent := f.close
	f.mu.Unlock()
	if bent != nil {
		return bent()
	}
	return f.Backend.Close()
}

// attempts counts the requests of each attempt.
func (f *faulty) attempts() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := make(map[string]int)
	for _, r := range f.requests {
		seen[r.AttemptID]++
	}
	return seen
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// open makes a client that is closed at the end of the test.
func open(t *testing.T, b driver.Backend, opts *fencelock.Options) *fencelock.Client {
	t.Helper()
	var o fencelock.Options
	if opts != nil {
		o = *opts
	}
	if o.Logger == nil {
		o.Logger = quiet()
	}
	c, err := fencelock.New(b, &o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return c
}

// bubble runs a test in virtual time. It also fails if a goroutine is left.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

func lock(t *testing.T, l fencelock.Locker, key string, opts ...fencelock.LockOption) *fencelock.Lease {
	t.Helper()
	lease, err := l.Lock(t.Context(), key, opts...)
	if err != nil {
		t.Fatalf("Lock(%q): %v", key, err)
	}
	return lease
}

func unlock(t *testing.T, l *fencelock.Lease) {
	t.Helper()
	if err := l.Unlock(context.Background()); err != nil {
		t.Fatalf("Unlock(%q): %v", l.Key(), err)
	}
}

// free fails unless nobody holds the key and nobody waits for it.
func free(t *testing.T, c *fencelock.Client, key string) {
	t.Helper()
	s, err := c.Inspect(context.Background(), key)
	if err != nil || s.Held() || s.Waiters != 0 {
		t.Errorf("Inspect(%q) = %+v, %v; want it free and without waiters", key, s, err)
	}
}

// unreachable is a Renew that gets no answer at once.
func unreachable(_ context.Context, grants []driver.Grant) []driver.Renewal {
	out := make([]driver.Renewal, len(grants))
	for i := range out {
		out[i].Err = driver.ErrUnavailable
	}
	return out
}

// hanging is a Renew that gets no answer until its context ends.
func hanging(ctx context.Context, grants []driver.Grant) []driver.Renewal {
	<-ctx.Done()
	return unreachable(ctx, grants)
}

func dead() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

const second = time.Second
