package mem_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
)

// requests are one of each kind, on a key that a client holds. Each leaves the key as it was.
func requests(t *testing.T, b driver.Backend, g driver.Grant) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Acquire": func(ctx context.Context) error {
			_, err := b.Acquire(ctx, driver.Request{Key: "free", AttemptID: t.Name(), TTL: g.TTL})
			return err
		},
		"Renew":   func(ctx context.Context) error { return b.Renew(ctx, []driver.Grant{g})[0].Err },
		"Inspect": func(ctx context.Context) error { _, err := b.Inspect(ctx, g.Key); return err },
		"ListHeld": func(ctx context.Context) error {
			_, err := b.ListHeld(ctx, "", "", 10)
			return err
		},
		"Release": func(ctx context.Context) error { return b.Release(ctx, g) },
		"Evict":   func(ctx context.Context) error { return b.Evict(ctx, g.Key, "") },
	}
}

// Whatever fails, its error has the kinds that a real server's has, it takes as long, and what was not
// carried out has not been.
func TestFaultsFailAsServersDo(t *testing.T) {
	for name, x := range map[string]struct {
		fault   mem.Fault
		want    []error
		not     []error
		took    time.Duration
		carried bool
	}{
		"down":      {mem.Fault{Kind: mem.Down}, []error{driver.ErrUnavailable}, []error{driver.ErrRefused}, 0, false},
		"silent":    {mem.Fault{Kind: mem.Silent}, []error{driver.ErrUnavailable}, []error{driver.ErrRefused}, 3 * time.Second, false},
		"lostReply": {mem.Fault{Kind: mem.LostReply}, []error{driver.ErrUnavailable}, []error{driver.ErrRefused}, 0, true},
		"refused":   {mem.Fault{Kind: mem.Refused}, []error{driver.ErrRefused}, []error{driver.ErrUnavailable}, 0, false},
		"busy":      {mem.Fault{Kind: mem.Busy}, []error{driver.ErrRefused, driver.ErrUnavailable}, nil, 0, false},
		"late":      {mem.Fault{Kind: mem.Late, Delay: 4 * time.Second}, nil, nil, 4 * time.Second, true},
	} {
		for _, op := range []string{"Acquire", "Renew", "Inspect", "ListHeld", "Release", "Evict"} {
			t.Run(name+"/"+op, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					space := mem.NewSpace()
					b, healthy := mem.New(space), mem.New(space)
					g, err := b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "holder", TTL: time.Minute})
					if err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Second)
					x.fault.Client = b
					heal := space.Inject(x.fault)
					began := time.Now()
					err = requests(t, b, g)[op](t.Context())
					if len(x.want) == 0 && err != nil {
						t.Errorf("%v, want nil", err)
					}
					for _, kind := range x.want {
						if !errors.Is(err, kind) {
							t.Errorf("%v, want %v", err, kind)
						}
					}
					for _, kind := range append(x.not, driver.ErrHeld, driver.ErrNotHeld, context.DeadlineExceeded) {
						if errors.Is(err, kind) {
							t.Errorf("%v, which is %v", err, kind)
						}
					}
					if took := time.Since(began); took != x.took {
						t.Errorf("it took %v, want %v", took, x.took)
					}
					if carried := carriedOut(t, healthy, op, time.Since(began)); carried != x.carried {
						t.Errorf("carried out: %v, want %v", carried, x.carried)
					}
					heal()
					heal()
					if err := requests(t, b, g)["Inspect"](t.Context()); err != nil {
						t.Errorf("healed, and then %v", err)
					}
				})
			})
		}
	}
}

// carriedOut looks whether a request has changed what it was to change. Reads cannot be told: they
// are taken for carried out where their sender got an answer.
func carriedOut(t *testing.T, b driver.Backend, op string, ago time.Duration) bool {
	look := func(key string) driver.Status {
		s, err := b.Inspect(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	switch op {
	case "Acquire":
		return look("free").Held()
	case "Renew":
		return look("k").Holders[0].Left > 59*time.Second-ago
	case "Release", "Evict":
		return !look("k").Held()
	}
	for _, name := range []string{"lostReply", "late"} {
		if t.Name() == "TestFaultsFailAsServersDo/"+name+"/"+op {
			return true
		}
	}
	return false
}

// A fault hits what it names and nothing else, and as often as it says.
func TestFaultsAreChosen(t *testing.T) {
	space := mem.NewSpace()
	a, b := mem.New(space), mem.New(space)
	down := func(c driver.Backend, key string) bool {
		_, err := c.Inspect(t.Context(), key)
		return errors.Is(err, driver.ErrUnavailable)
	}
	for name, x := range map[string]struct {
		fault         mem.Fault
		a, b, another bool
	}{
		"everything":        {mem.Fault{}, true, true, true},
		"one key":           {mem.Fault{Key: "k"}, true, true, false},
		"one client":        {mem.Fault{Client: a}, true, false, true},
		"one key of one":    {mem.Fault{Client: b, Key: "k"}, false, true, false},
		"another operation": {mem.Fault{Ops: mem.OpRenew | mem.OpAcquire}, false, false, false},
		"this operation":    {mem.Fault{Ops: mem.OpRenew | mem.OpInspect}, true, true, true},
	} {
		x.fault.Kind = mem.Down
		heal := space.Inject(x.fault)
		if got := [3]bool{down(a, "k"), down(b, "k"), down(a, "another")}; got != [3]bool{x.a, x.b, x.another} {
			t.Errorf("%s: fails %v, want %v", name, got, [3]bool{x.a, x.b, x.another})
		}
		heal()
	}
	defer space.Inject(mem.Fault{Kind: mem.Down, Times: 2})()
	if got := [3]bool{down(a, "k"), down(b, "k"), down(a, "k")}; got != [3]bool{true, true, false} {
		t.Errorf("of three requests these fail: %v, want the first two", got)
	}
	space.Inject(mem.Fault{Kind: mem.Down})
	defer space.Inject(mem.Fault{Kind: mem.Refused})()
	if down(a, "k") {
		t.Error("the fault that was injected last is not met first")
	}
}

// A call that waits for a lock notices that the server has gone, or is silent; its attempt keeps its
// place for a TTL, and is told that it waits by answers only.
func TestFaultsReachWaiters(t *testing.T) {
	for name, x := range map[string]struct {
		kind mem.FaultKind
		took time.Duration
	}{"down": {mem.Down, 0}, "silent": {mem.Silent, 3 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				space := mem.NewSpace()
				a, b := mem.New(space), mem.New(space)
				g, err := a.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "a", TTL: time.Hour})
				if err != nil {
					t.Fatal(err)
				}
				told := 0
				req := driver.Request{Key: "k", AttemptID: "b", TTL: 9 * time.Second, Wait: true, Waiting: func() { told++ }}
				answers := make(chan error, 1)
				go func() {
					_, err := b.Acquire(t.Context(), req)
					answers <- err
				}()
				synctest.Wait()
				before, began := told, time.Now()
				heal := space.Inject(mem.Fault{Kind: x.kind, Client: b})
				if err := <-answers; !errors.Is(err, driver.ErrUnavailable) || time.Since(began) != x.took {
					t.Errorf("after %v: %v, want ErrUnavailable after %v", time.Since(began), err, x.took)
				}
				if told != before {
					t.Error("told that it waits while the server does not answer")
				}
				if s, err := a.Inspect(t.Context(), "k"); err != nil || s.Waiters != 1 {
					t.Errorf("%d waiters (%v), want the place of one whose connection broke", s.Waiters, err)
				}
				heal()
				go func() {
					_, err := b.Acquire(t.Context(), req)
					answers <- err
				}()
				synctest.Wait()
				if told == before {
					t.Error("healed, and not told that it waits")
				}
				if err := a.Release(t.Context(), g); err != nil {
					t.Error(err)
				}
				if err := <-answers; err != nil {
					t.Errorf("healed and handed off, and then %v", err)
				}
			})
		})
	}
}

// A silence that ends soon is not noticed by who waits, not even if the turn came meanwhile.
func TestShortSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		space := mem.NewSpace()
		a, b := mem.New(space), mem.New(space)
		g, _ := a.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "a", TTL: time.Hour})
		answers := make(chan error, 1)
		go func() {
			_, err := b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "b", TTL: 15 * time.Second, Wait: true})
			answers <- err
		}()
		synctest.Wait()
		heal := space.Inject(mem.Fault{Kind: mem.Silent, Client: b})
		synctest.Wait()
		if err := a.Release(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		select {
		case err := <-answers:
			t.Fatalf("heard of the hand-off in the silence: %v", err)
		default:
			heal()
		}
		if err := <-answers; err != nil {
			t.Error(err)
		}
	})
}

// The answer to a request that waits may be lost, too: the attempt has its place, and finds it again.
func TestLostReplyOfAWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		space := mem.NewSpace()
		a, b := mem.New(space), mem.New(space)
		g, _ := a.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "a", TTL: time.Hour})
		space.Inject(mem.Fault{Kind: mem.LostReply, Times: 1})
		req := driver.Request{Key: "k", AttemptID: "b", TTL: time.Minute, Wait: true}
		if _, err := b.Acquire(t.Context(), req); !errors.Is(err, driver.ErrUnavailable) {
			t.Errorf("%v, want ErrUnavailable", err)
		}
		if s, _ := a.Inspect(t.Context(), "k"); s.Waiters != 1 {
			t.Errorf("%d waiters, want 1", s.Waiters)
		}
		_ = a.Release(t.Context(), g)
		req.Retry = true
		if _, err := b.Acquire(t.Context(), req); err != nil {
			t.Error(err)
		}
	})
}

// While a client is cut off it hears of no loss, as nothing comes over a connection that is broken; the space
// goes on.
func TestCutOffClientIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		space := mem.NewSpace()
		cut, another := mem.New(space), mem.New(space)
		lost := 0
		g, _ := cut.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "a", TTL: time.Second, Lost: func(error) { lost++ }})
		heal := space.Inject(mem.Fault{Kind: mem.Down, Client: cut})
		if _, err := another.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "b", TTL: time.Minute, Wait: true}); err != nil {
			t.Fatal(err)
		}
		if lost > 0 {
			t.Error("told of the loss, and cut off")
		}
		heal()
		if err := cut.Renew(t.Context(), []driver.Grant{g})[0].Err; !errors.Is(err, driver.ErrNotHeld) {
			t.Errorf("%v, want ErrNotHeld", err)
		}
	})
}

// A grant that the space has forgotten is another's at once, its token is greater, and the next renewal
// tells the holder.
func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		space := mem.NewSpace()
		first, second := newLocker(t, mem.New(space)), newLocker(t, mem.New(space))
		lease, err := first.Lock(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		if space.Forget("another") || !space.Forget("k") {
			t.Error("Forget does not tell whether there was a grant")
		}
		next, err := second.Lock(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		if lease.Err() != nil || next.Token() <= lease.Token() {
			t.Errorf("the holder knows (%v), or the tokens %v and %v do not tell them apart", lease.Err(), lease.Token(), next.Token())
		}
		time.Sleep(6 * time.Second)
		if !errors.Is(lease.Err(), fencelock.ErrLost) {
			t.Errorf("after the next renewal: %v, want ErrLost", lease.Err())
		}
	})
}

// Requests of a batch meet their faults side by side, and in order.
func TestFaultsInABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		space := mem.NewSpace()
		b := mem.New(space)
		var grants []driver.Grant
		for _, key := range []string{"silent", "fine", "late", "refused"} {
			g, err := b.Acquire(t.Context(), driver.Request{Key: key, AttemptID: key, TTL: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			grants = append(grants, g)
		}
		space.Inject(mem.Fault{Kind: mem.Silent, Key: "silent"})
		space.Inject(mem.Fault{Kind: mem.Late, Key: "late", Delay: 2 * time.Second})
		space.Inject(mem.Fault{Kind: mem.Refused, Key: "refused"})
		began := time.Now()
		out := b.Renew(t.Context(), grants)
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("it took %v, want 3s", took)
		}
		for i, want := range []error{driver.ErrUnavailable, nil, nil, driver.ErrRefused} {
			if !errors.Is(out[i].Err, want) {
				t.Errorf("%s: %v, want %v", grants[i].Key, out[i].Err, want)
			}
		}
	})
}

// The space of a URL can be made to fail, too.
func TestFaultsOfANamedSpace(t *testing.T) {
	name := "faults-of-a-named-space"
	locker, err := fencelock.Open(t.Context(), "mem://"+name, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer locker.Close()
	defer mem.Named(name).Inject(mem.Fault{Kind: mem.Refused})()
	if _, err := locker.TryLock(t.Context(), "k"); !errors.Is(err, fencelock.ErrRefused) {
		t.Errorf("%v, want ErrRefused", err)
	}
}

func TestFaultWithoutKind(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a fault without Kind was accepted")
		}
	}()
	mem.NewSpace().Inject(mem.Fault{})
}
