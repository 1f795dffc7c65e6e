package fencelock_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
)

// kinds are all that a program may branch on.
var kinds = []error{
	fencelock.ErrHeld, fencelock.ErrNotHeld, fencelock.ErrLost, fencelock.ErrMaxHold, fencelock.ErrUnlocked, fencelock.ErrUnavailable,
	fencelock.ErrUnknown, fencelock.ErrRefused, fencelock.ErrUnsupported, fencelock.ErrClosed, fencelock.ErrInvalid,
}

// matches requires that an error is of these kinds, and of no other.
func matches(t *testing.T, what string, err error, want ...error) {
	t.Helper()
	var e *fencelock.Error
	if !errors.As(err, &e) {
		t.Errorf("%s: %v (%T) is no *Error", what, err, err)
		return
	}
	for _, kind := range kinds {
		if is := errors.Is(err, kind); is != slices.Contains(want, kind) {
			t.Errorf("%s: %v; matches %q: %v", what, err, kind, is)
		}
	}
	for _, ctxErr := range []error{context.Canceled, context.DeadlineExceeded} {
		if is := errors.Is(err, ctxErr); is != slices.Contains(want, ctxErr) {
			t.Errorf("%s: %v; matches %q: %v", what, err, ctxErr, is)
		}
	}
}

// answering is a backend whose requests all fail with one error, once there is one.
type answering struct {
	driver.Backend
	answer atomic.Pointer[error]
}

func (a *answering) say(err error) { a.answer.Store(&err) }

func (a *answering) says() error {
	if err := a.answer.Load(); err != nil {
		return *err
	}
	return nil
}

func (a *answering) Acquire(ctx context.Context, req driver.Request) (driver.Grant, error) {
	if a.says() != nil {
		return driver.Grant{}, a.says()
	}
	return a.Backend.Acquire(ctx, req)
}

func (a *answering) Renew(ctx context.Context, grants []driver.Grant) []driver.Renewal {
	out := a.Backend.Renew(ctx, grants)
	for i := range out {
		if a.says() != nil {
			out[i].Err = a.says()
		}
	}
	return out
}

func (a *answering) Release(ctx context.Context, g driver.Grant) error {
	if a.says() != nil {
		return a.says()
	}
	return a.Backend.Release(ctx, g)
}

func (a *answering) Inspect(ctx context.Context, key string) (driver.Status, error) {
	if a.says() != nil && key != "evicted" { // Evict looks before it evicts
		return driver.Status{}, a.says()
	}
	return a.Backend.Inspect(ctx, key)
}

func (a *answering) ListHeld(ctx context.Context, prefix, cursor string, limit int) (driver.Page, error) {
	if a.says() != nil {
		return driver.Page{}, a.says()
	}
	return a.Backend.ListHeld(ctx, prefix, cursor, limit)
}

func (a *answering) Evict(ctx context.Context, key, attemptID string) error {
	if a.says() != nil {
		return a.says()
	}
	return a.Backend.Evict(ctx, key, attemptID)
}

// operations are all that can fail. Each is given a lease of "k" with half a second gone of its
// TTL of 3 s, while somebody else holds "evicted".
var operations = map[string]func(ctx context.Context, c *fencelock.Client, l *fencelock.Lease) error{
	"Lock": func(ctx context.Context, c *fencelock.Client, _ *fencelock.Lease) error {
		return locking(c, "other")(ctx)
	},
	"TryLock": func(ctx context.Context, c *fencelock.Client, _ *fencelock.Lease) error {
		_, err := c.TryLock(ctx, "other")
		return err
	},
	"Inspect": func(ctx context.Context, c *fencelock.Client, _ *fencelock.Lease) error {
		_, err := c.Inspect(ctx, "k")
		return err
	},
	"Health": func(ctx context.Context, c *fencelock.Client, _ *fencelock.Lease) error {
		_, err := c.Health(ctx)
		return err
	},
	"ListHeld": func(ctx context.Context, c *fencelock.Client, _ *fencelock.Lease) (last error) {
		for _, err := range c.ListHeld(ctx, "") {
			last = err
		}
		return last
	},
	"Evict": func(ctx context.Context, c *fencelock.Client, _ *fencelock.Lease) error {
		_, err := c.Evict(ctx, "evicted", "")
		return err
	},
	"Evict that looks": func(ctx context.Context, c *fencelock.Client, _ *fencelock.Lease) error {
		_, err := c.Evict(ctx, "k", "")
		return err
	},
	"Ensure": func(ctx context.Context, _ *fencelock.Client, l *fencelock.Lease) error {
		return l.Ensure(ctx, 2600*time.Millisecond)
	},
	"Unlock": func(ctx context.Context, _ *fencelock.Client, l *fencelock.Lease) error { return l.Unlock(ctx) },
	"Err": func(_ context.Context, _ *fencelock.Client, l *fencelock.Lease) error {
		<-l.Done()
		return l.Err()
	},
	"the cause of the context": func(ctx context.Context, _ *fencelock.Client, l *fencelock.Lease) error {
		work := l.Context(context.WithoutCancel(ctx))
		<-work.Done()
		return context.Cause(work)
	},
	"Unlock of a lost lease": func(ctx context.Context, _ *fencelock.Client, l *fencelock.Lease) error {
		<-l.Done()
		return l.Unlock(ctx)
	},
}

var errOwn = errors.New("the server's own error")

// A kind means one thing: an error of each operation, for each answer of the server, is of exactly
// the kinds that are documented, and the server's own error is in it.
func TestEachKindMeansOneThing(t *testing.T) {
	const (
		held         = "held"
		notHeld      = "not held"
		unavailable  = "unavailable"
		refused      = "refused"
		refusedNow   = "refused for now"
		unsupported  = "unsupported"
		invalid      = "invalid"
		unclassified = "its own"
	)
	answers := map[string][]error{
		held: {driver.ErrHeld}, notHeld: {driver.ErrNotHeld}, unavailable: {driver.ErrUnavailable},
		refused: {driver.ErrRefused}, refusedNow: {driver.ErrRefused, driver.ErrUnavailable},
		unsupported: {driver.ErrUnsupported}, invalid: {driver.ErrInvalid}, unclassified: nil,
	}
	type of map[string][]error
	late := context.DeadlineExceeded // the caller's
	asked := of{
		notHeld: nil, unavailable: {fencelock.ErrUnavailable}, refused: {fencelock.ErrRefused},
		refusedNow: {fencelock.ErrRefused, fencelock.ErrUnavailable}, unsupported: {fencelock.ErrUnsupported},
		invalid: {fencelock.ErrInvalid}, unclassified: nil,
	}
	with := func(base of, changes of) of {
		out := make(of)
		for answer, want := range base {
			out[answer] = want
		}
		for answer, want := range changes {
			out[answer] = want
		}
		return out
	}
	always := func(kind error) of {
		out := make(of)
		for answer := range answers {
			out[answer] = []error{kind}
		}
		return out
	}
	want := map[string]of{
		"Lock": with(asked, of{
			held: {fencelock.ErrHeld, late}, unavailable: {fencelock.ErrUnavailable, late},
			refusedNow: {fencelock.ErrRefused, fencelock.ErrUnavailable, late},
		}),
		"TryLock": with(asked, of{held: {fencelock.ErrHeld}}),
		"Inspect": asked, "ListHeld": asked, "Health": asked, "Evict that looks": asked,
		"Evict": with(always(fencelock.ErrUnknown), of{
			notHeld: {fencelock.ErrNotHeld}, refused: {fencelock.ErrRefused},
			refusedNow: {fencelock.ErrRefused, fencelock.ErrUnavailable}, unsupported: {fencelock.ErrUnsupported},
		}),
		"Ensure": with(always(fencelock.ErrUnavailable), of{
			notHeld: {fencelock.ErrLost}, refused: {fencelock.ErrRefused},
			refusedNow: {fencelock.ErrRefused, fencelock.ErrUnavailable},
		}),
		"Unlock": with(always(fencelock.ErrUnknown), of{
			notHeld: {fencelock.ErrLost}, refused: {fencelock.ErrRefused},
			refusedNow: {fencelock.ErrRefused, fencelock.ErrUnavailable},
		}),
		"Err":                      always(fencelock.ErrLost),
		"the cause of the context": always(fencelock.ErrLost),
		"Unlock of a lost lease":   always(fencelock.ErrLost),
	}
	for name, op := range operations {
		for answer, kinds := range want[name] {
			bubble(t, func(t *testing.T) {
				space := mem.NewSpace()
				b := &answering{Backend: mem.New(space)}
				c, other := open(t, b, &fencelock.Options{TTL: ttl}), open(t, mem.New(space), nil)
				evicted := lock(t, other, "evicted")
				l := lock(t, c, "k")
				time.Sleep(second / 2)
				says := errOwn
				for _, kind := range answers[answer] {
					says = fmt.Errorf("%w: %w", kind, says)
				}
				b.say(says)
				err := within(t, second, func(ctx context.Context) error { return op(ctx, c, l) })
				matches(t, name+", "+answer, err, kinds...)
				if !errors.Is(err, errOwn) && answer != held && (name != "Evict" || answer != notHeld) {
					t.Errorf("%s, %s: %v does not have the server's own error", name, answer, err)
				}
				b.say(nil)
				_ = l.Unlock(t.Context())
				unlock(t, evicted)
				time.Sleep(3 * ttl) // the janitor's
			})
		}
	}
}

// So are the errors that no server is asked for.
func TestKindsWithoutAServer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		why := errors.New("the caller's reason")
		gaveUp, cancel := context.WithCancelCause(t.Context())
		cancel(why)
		open := func(t *testing.T) (*fencelock.Client, *fencelock.Lease) {
			c := open(t, mem.New(mem.NewSpace()), &fencelock.Options{TTL: ttl})
			return c, lock(t, c, "k", fencelock.WithMaxHold(time.Minute))
		}
		for name, op := range operations {
			if strings.Contains(name, "Unlock") || strings.Contains(name, "Err") || strings.Contains(name, "the cause") {
				continue
			}
			c, l := open(t)
			if name != "Ensure" {
				matches(t, name+" with a nil context", op(nil, c, l), fencelock.ErrInvalid)
				err := op(gaveUp, c, l)
				matches(t, name+" with a context that has ended", err, context.Canceled)
				if !errors.Is(err, why) {
					t.Errorf("%s: %v does not have the reason", name, err)
				}
			}
			_ = c.Close()
			if want := fencelock.ErrClosed; name == "Ensure" {
				matches(t, name+" after Close", op(t.Context(), c, l), fencelock.ErrUnlocked)
			} else {
				matches(t, name+" after Close", op(t.Context(), c, l), want)
			}
		}
		c, l := open(t)
		matches(t, "Ensure of too much", l.Ensure(t.Context(), time.Hour), fencelock.ErrInvalid)
		_ = l.Unlock(t.Context())
		matches(t, "Err after Unlock", l.Err(), fencelock.ErrUnlocked)
		matches(t, "Ensure after Unlock", l.Ensure(t.Context(), second), fencelock.ErrUnlocked)
		_, err := c.Evict(t.Context(), "nobody's", "")
		matches(t, "Evict of nobody", err, fencelock.ErrNotHeld)

		l = lock(t, c, "k", fencelock.WithMaxHold(2*second))
		time.Sleep(second)
		matches(t, "Ensure near the end", l.Ensure(t.Context(), 1500*time.Millisecond), fencelock.ErrMaxHold)
		work := l.Context(t.Context())
		time.Sleep(second)
		matches(t, "Err beyond the end", l.Err(), fencelock.ErrLost, fencelock.ErrMaxHold)
		matches(t, "Unlock beyond the end", l.Unlock(t.Context()), fencelock.ErrLost, fencelock.ErrMaxHold)
		_, err = c.Lock(work, "k")
		matches(t, "Lock under the context of a lost lease", err, context.Canceled, fencelock.ErrLost, fencelock.ErrMaxHold)
	})
}

// And those of Open.
func TestKindsOfOpen(t *testing.T) {
	var says error
	fencelock.Register("kinds", func(context.Context, *url.URL, driver.OpenOptions) (driver.Backend, error) { return nil, says })
	for _, x := range []struct{ says, want []error }{
		{[]error{driver.ErrUnavailable}, []error{fencelock.ErrUnavailable}},
		{[]error{driver.ErrRefused}, []error{fencelock.ErrRefused}},
		{[]error{driver.ErrRefused, driver.ErrUnavailable}, []error{fencelock.ErrRefused, fencelock.ErrUnavailable}},
		{[]error{driver.ErrInvalid}, []error{fencelock.ErrInvalid}},
		{[]error{driver.ErrUnsupported}, []error{fencelock.ErrUnsupported}},
		{nil, []error{fencelock.ErrUnavailable}},
	} {
		says = errOwn
		for _, kind := range x.says {
			says = fmt.Errorf("%w: %w", kind, says)
		}
		_, err := fencelock.Open(t.Context(), "kinds://host", nil)
		matches(t, fmt.Sprintf("Open, %v", says), err, x.want...)
		if !errors.Is(err, errOwn) {
			t.Errorf("Open: %v does not have the server's own error", err)
		}
	}
	_, err := fencelock.New(mem.New(nil), &fencelock.Options{RequireGuarantee: driver.Linearizable, TTL: -1})
	matches(t, "New", err, fencelock.ErrInvalid)
}
