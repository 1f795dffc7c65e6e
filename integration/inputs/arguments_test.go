package inputs_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
)

// TestWrongArguments: what New and the methods of a client are given.
func TestWrongArguments(t *testing.T) {
	c, err := fencelock.New(mem.New(nil), &fencelock.Options{Logger: locktest.Silent})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	closed, err := fencelock.New(mem.New(nil), &fencelock.Options{Logger: locktest.Silent})
	if err == nil {
		err = closed.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, long := t.Context(), strings.Repeat("k", driver.MaxKeyLen+1)
	nothing := func(context.Context, *fencelock.Lease) error { return nil }
	lock := func(ctx context.Context, c *fencelock.Client, key string, opts ...fencelock.LockOption) error {
		_, err := c.TryLock(ctx, key, opts...)
		return err
	}
	var nobody context.Context // nil
	made := func(b driver.Backend, o fencelock.Options) error {
		_, err := fencelock.New(b, &o)
		return err
	}
	_, inspect := c.Inspect(nobody, "k")
	_, health := c.Health(nobody)
	_, waited := c.Lock(nobody, "k")
	_, open := fencelock.Open(nobody, "mem://", nil)
	for name, row := range map[string]struct {
		err, kind error
		says      string
	}{
		"nil backend":         {made(nil, fencelock.Options{}), invalid, "backend is nil"},
		"typed nil backend":   {made((*driverOf)(nil), fencelock.Options{}), invalid, "nil *inputs_test.driverOf"},
		"namespace with New":  {made(mem.New(nil), fencelock.Options{Namespace: "x"}), invalid, "Options.Namespace"},
		"Require with New":    {made(mem.New(nil), fencelock.Options{RequireGuarantee: 99}), invalid, "Options.RequireGuarantee is 99"},
		"features not there":  {made(mem.New(nil), fencelock.Options{RequireFeatures: 4}), invalid, "Options.RequireFeatures"},
		"observer with New":   {made(mem.New(nil), fencelock.Options{Observer: (*deaf)(nil)}), invalid, "Options.Observer"},
		"empty key":           {lock(ctx, c, ""), invalid, "key is empty"},
		"long key":            {lock(ctx, c, long), invalid, "bytes"},
		"binary key":          {lock(ctx, c, "\xff"), invalid, "UTF-8"},
		"short TTL":           {lock(ctx, c, "k", fencelock.WithTTL(1)), invalid, "WithTTL is 1ns"},
		"negative TTL":        {lock(ctx, c, "k", fencelock.WithTTL(-1)), invalid, "WithTTL is -1ns"},
		"long TTL":            {lock(ctx, c, "k", fencelock.WithTTL(1<<62)), invalid, "WithTTL is"},
		"nil context":         {lock(nobody, c, "k"), invalid, "context is nil"},
		"nil context of Lock": {waited, invalid, "context is nil"},
		"nil context of Do":   {fencelock.Do(nobody, c, "k", nothing), invalid, "context is nil"},
		"... of Inspect":      {inspect, invalid, "context is nil"},
		"... of ListHeld":     {list(nobody, c, ""), invalid, "context is nil"},
		"prefix not UTF-8":    {list(ctx, c, "\xff"), invalid, "prefix is not valid UTF-8"},
		"evict nonsense":      {evicted(c.Evict(ctx, "k", "no attempt!")), invalid, "attempt"},
		"negative hold":       {lock(ctx, c, "k", fencelock.WithMinHold(-1)), invalid, "WithMinHold"},
		"hold of no time":     {lock(ctx, c, "k", fencelock.WithMaxHold(-1)), invalid, "WithMaxHold"},
		"holds that exclude":  {lock(ctx, c, "k", fencelock.WithMinHold(2), fencelock.WithMaxHold(1)), invalid, "WithMaxHold"},
		"identity with NUL":   {lock(ctx, c, "k", fencelock.WithIdentity("a\x00b")), invalid, "WithIdentity"},
		"long meta":           {lock(ctx, c, "k", fencelock.WithMeta(strings.Repeat("m", driver.MaxMetaLen+1))), invalid, "WithMeta"},
		"... of Evict":        {evicted(c.Evict(nobody, "k", "")), invalid, "context is nil"},
		"... of Health":       {health, invalid, "context is nil"},
		"... of Open":         {open, invalid, "context is nil"},
		"Do nothing":          {fencelock.Do(ctx, c, "k", nil), invalid, "function is nil"},
		"Do with nobody":      {fencelock.Do(ctx, nil, "k", nothing), invalid, "Locker is nil"},
		"closed":              {lock(ctx, closed, "k"), fencelock.ErrClosed, "closed"},
		"Do when closed":      {fencelock.Do(ctx, closed, "k", nothing), fencelock.ErrClosed, "closed"},
		"nil options":         {lock(ctx, c, "free", nil, fencelock.WithTTL(time.Second), nil), nil, ""},
	} {
		switch {
		case row.kind == nil && row.err != nil:
			t.Errorf("%s: %v", name, row.err)
		case row.kind == nil:
		case !errors.Is(row.err, row.kind):
			t.Errorf("%s: %v; want %v", name, row.err, row.kind)
		case !strings.Contains(row.err.Error(), row.says):
			t.Errorf("%s: %v; want an error that says %q", name, row.err, row.says)
		}
	}
}

// TestNoClient: what nobody has made says so, and panics nowhere.
func TestNoClient(t *testing.T) {
	ctx := t.Context()
	for name, c := range map[string]*fencelock.Client{"nil": nil, "zero": new(fencelock.Client)} {
		_, lock := c.Lock(ctx, "k")
		_, tryLock := c.TryLock(ctx, "k")
		_, inspect := c.Inspect(ctx, "k")
		_, health := c.Health(ctx)
		for method, err := range map[string]error{
			"Lock": lock, "TryLock": tryLock, "Inspect": inspect, "Health": health, "Evict": evicted(c.Evict(ctx, "k", "")), "ListHeld": list(ctx, c, ""), "Close": c.Close(),
			"Do": fencelock.Do(ctx, c, "k", func(context.Context, *fencelock.Lease) error { return nil }),
		} {
			if !errors.Is(err, invalid) || !strings.Contains(err.Error(), "make it with Open or New") {
				t.Errorf("%s of a %s client: %v; want ErrInvalid that says how to make one", method, name, err)
			}
		}
		if i := c.Info(); i.Name != "" {
			t.Errorf("Info of a %s client: %+v", name, i)
		}
	}
}

type driverOf struct{ driver.Backend }

// TestUnlockWithoutContext: a lock is not kept for want of one.
func TestUnlockWithoutContext(t *testing.T) {
	c, err := fencelock.New(mem.New(nil), &fencelock.Options{Logger: locktest.Silent})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l, err := c.TryLock(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	var nobody context.Context
	if err := l.Ensure(nobody, time.Hour); !errors.Is(err, fencelock.ErrInvalid) {
		t.Errorf("Ensure = %v, want ErrInvalid", err)
	}
	if err := l.Unlock(nobody); err != nil {
		t.Errorf("Unlock = %v", err)
	}
	if s, err := c.Inspect(t.Context(), "k"); err != nil || s.Held() {
		t.Errorf("Inspect = %+v, %v; want nobody", s, err)
	}
}

// evicted is the error of an eviction.
func evicted(_ []driver.Holder, err error) error { return err }

// list is the error of a listing.
func list(ctx context.Context, c *fencelock.Client, prefix string) error {
	for _, err := range c.ListHeld(ctx, prefix) {
		return err
	}
	return nil
}
