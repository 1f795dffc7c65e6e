package sentinel

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
)

func wantMaster(t *testing.T, w *Watch, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if got, err := w.Where(ctx); got != want || err != nil {
		t.Errorf("Where = %q, %v; want %q", got, err, want)
	}
}

// vouch asks for a second at the most.
func vouch(t *testing.T, w *Watch, addr string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	return w.Vouch(ctx, addr)
}

// A majority that says so moves the master, at once where one of them is heard; a minority does not.
func TestMoved(t *testing.T) {
	g := newGroup()
	started(t, g, all, func(t *testing.T, w *Watch, m *moves) {
		wantMaster(t, w, old)
		time.Sleep(100 * time.Millisecond) // it has subscribed
		g.failOver(next, s1)
		time.Sleep(time.Minute)
		m.want(t, old)
		wantMaster(t, w, old)
		g.failOver(next, s3)
		time.Sleep(10 * time.Millisecond)
		m.want(t, old, next)
		wantMaster(t, w, next)
		g.failOver(next, s2)
		time.Sleep(time.Minute)
		m.want(t, old, next)
	})
}

// The first to be heard may be ahead of the majority. Then the others are asked again soon.
func TestNewsAheadOfTheMajority(t *testing.T) {
	g := newGroup()
	started(t, g, all, func(t *testing.T, w *Watch, m *moves) {
		time.Sleep(100 * time.Millisecond)
		g.failOver(next, s1)
		time.Sleep(200 * time.Millisecond)
		g.quietly(next, 2, s2)
		time.Sleep(350 * time.Millisecond)
		m.want(t, old, next)
	})
}

// What Sentinels say is not heard by who listens: it is found by asking.
func TestUnheard(t *testing.T) {
	g := newGroup()
	started(t, g, all, func(t *testing.T, w *Watch, m *moves) {
		g.quietly(next, 2, s1, s2, s3)
		time.Sleep(2 * time.Second) // it asks each 4/3 s, about
		m.want(t, old, next)
	})
}

// Doubt is a reason to ask soon, and not more and more often.
func TestDoubt(t *testing.T) {
	g := newGroup()
	started(t, g, all, func(t *testing.T, w *Watch, m *moves) {
		time.Sleep(200 * time.Millisecond)
		before := g.asked(s1)
		w.Doubt(next) // which is not the one: nobody cares
		synctest.Wait()
		if n := g.asked(s1) - before; n != 0 {
			t.Errorf("asked %d times for want of a server that is not the master", n)
		}
		w.Doubt(old)
		synctest.Wait()
		if n := g.asked(s1) - before; n != 1 {
			t.Errorf("asked %d times, want once, at once", n)
		}
		for range 1000 {
			w.Doubt(old)
			time.Sleep(10 * time.Millisecond)
		}
		if n := g.asked(s1) - before; n > 25 {
			t.Errorf("asked %d times in 10 s", n)
		}
		g.quietly(next, 2, s1, s2)
		w.Doubt(old)
		time.Sleep(1300 * time.Millisecond)
		m.want(t, old, next)
	})
}

func TestVouch(t *testing.T) {
	g := newGroup()
	started(t, g, all, func(t *testing.T, w *Watch, m *moves) {
		before := g.asked(s1) + g.asked(s2) + g.asked(s3)
		if err := vouch(t, w, old); err != nil {
			t.Errorf("the master: %v", err)
		}
		if n := g.asked(s1) + g.asked(s2) + g.asked(s3) - before; n < 2 {
			t.Errorf("%d Sentinels were asked", n)
		}
		if err := vouch(t, w, next); !errors.Is(err, errElsewhere) {
			t.Errorf("another: %v", err)
		}
		g.quietly(next, 2, s1, s2)
		if err := vouch(t, w, old); !errors.Is(err, errElsewhere) || !strings.Contains(err.Error(), next) {
			t.Errorf("the master of before: %v", err)
		}
		m.want(t, old, next)
		if err := vouch(t, w, next); err != nil {
			t.Errorf("the new one: %v", err)
		}
	})
}

// Vouch asks again while there is no majority, and says that it could not ask when there is none.
func TestVouchWithoutAMajority(t *testing.T) {
	g := newGroup()
	started(t, g, all, func(t *testing.T, w *Watch, m *moves) {
		g.change(func(f *fake) { f.down = true }, s1)
		g.change(func(f *fake) { f.silent = true }, s2)
		began := time.Now()
		err := vouch(t, w, old)
		if took := time.Since(began); err == nil || errors.Is(err, errElsewhere) || took < time.Second || took > 1100*time.Millisecond {
			t.Errorf("%v after %v", err, took)
		}
		time.AfterFunc(500*time.Millisecond, func() { g.change(func(f *fake) { f.down = false }, s1) })
		if err := vouch(t, w, old); err != nil {
			t.Errorf("they are back: %v", err)
		}
		g.change(func(f *fake) { f.silent = false }, s2)
		time.Sleep(6 * time.Second) // until the connection on which it said nothing is given up
		g.quietly(next, 2, s3)
		g.change(func(f *fake) { f.down = true }, s1)
		time.AfterFunc(300*time.Millisecond, func() { g.quietly(next, 2, s2) })
		if err := vouch(t, w, old); !errors.Is(err, errElsewhere) {
			t.Errorf("they agree after a moment: %v", err)
		}
	})
}

// A question that began before Vouch is worth nothing: what it will say may be older than the answer in question.
func TestVouchAsksAgain(t *testing.T) {
	g := newGroup()
	started(t, g, all, func(t *testing.T, w *Watch, m *moves) {
		time.Sleep(200 * time.Millisecond)
		g.change(func(f *fake) { f.slow = 100 * time.Millisecond }, all...)
		w.Doubt(old)
		synctest.Wait() // the answers are on their way
		g.quietly(next, 2, all...)
		if err := vouch(t, w, old); !errors.Is(err, errElsewhere) {
			t.Errorf("%v", err)
		}
	})
}

// A server that becomes the master again after another was one has forgotten nothing, but may lack what the other has granted.
func TestBackAgain(t *testing.T) {
	g := newGroup()
	started(t, g, all, func(t *testing.T, w *Watch, m *moves) {
		g.quietly(old, 3, s1, s2)
		if err := vouch(t, w, old); !errors.Is(err, errElsewhere) {
			t.Errorf("the master was another for a while: %v", err)
		}
		m.want(t, old, "", old)
		if err := vouch(t, w, old); err != nil {
			t.Errorf("that is over: %v", err)
		}
		time.Sleep(time.Minute)
		m.want(t, old, "", old)
	})
}

func TestSilence(t *testing.T) {
	g := newGroup()
	watching(t, g, all, func(t *testing.T, w *Watch, m *moves) {
		if got := w.Silence(); got != 0 {
			t.Errorf("%v before anybody has said anything", got)
		}
		g.change(func(f *fake) { f.downAfter = 3 * time.Second }, s2)
		if _, err := w.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := w.Silence(); got != 1500*time.Millisecond {
			t.Errorf("%v, want half of the shortest time that the Sentinels tell", got)
		}
		g.change(func(f *fake) { f.downAfter = 10 * time.Second }, all...)
		time.Sleep(time.Minute)
		if got := w.Silence(); got != 5*time.Second {
			t.Errorf("%v, want half of the new time", got)
		}
		g.change(func(f *fake) { f.down = true }, s1, s3)
		time.Sleep(6 * time.Second)
		if got := w.Silence(); got != 5*time.Second {
			t.Errorf("%v, though a majority was there a moment ago", got)
		}
		time.Sleep(10 * time.Second)
		if got := w.Silence(); got != 0 {
			t.Errorf("%v, though no majority is there", got)
		}
		g.change(func(f *fake) { f.down = false }, s1)
		time.Sleep(3 * time.Second)
		if got := w.Silence(); got != 5*time.Second {
			t.Errorf("%v, though a majority is there again", got)
		}
	})
}

// The same Sentinel at two addresses has one vote.
func TestTwoAddresses(t *testing.T) {
	g := newGroup()
	g.all[s2] = g.all[s1]
	g.change(func(f *fake) { f.down = true }, s3)
	watching(t, g, all, func(t *testing.T, w *Watch, m *moves) {
		if _, err := w.Start(t.Context()); err == nil {
			t.Error("one of three Sentinels has decided")
		}
		m.want(t)
	})
}

// Sentinels that do not know each other would be a majority each.
func TestStrangersToEachOther(t *testing.T) {
	g := newGroup()
	g.change(func(f *fake) { f.count, f.knows = 1, nil }, all...)
	started(t, g, all, func(t *testing.T, w *Watch, m *moves) {
		g.quietly(next, 2, s1)
		time.Sleep(time.Minute)
		m.want(t, old)
		g.quietly(next, 2, s3)
		time.Sleep(3 * time.Second)
		m.want(t, old, next)
	})
}

// The Sentinels tell of each other, so that one address is enough to begin with.
func TestOthersAreAsked(t *testing.T) {
	g := newGroup()
	started(t, g, []string{s1}, func(t *testing.T, w *Watch, m *moves) {
		time.Sleep(time.Second)
		g.change(func(f *fake) { f.down = true }, s1)
		if err := vouch(t, w, old); err != nil {
			t.Errorf("two of three are there: %v", err)
		}
		g.failOver(next, s2, s3)
		time.Sleep(10 * time.Millisecond)
		m.want(t, old, next)
	})
}

// An address of which others tell may lead to something else from here.
func TestOtherIsAnother(t *testing.T) {
	g := newGroup()
	g.all["192.0.2.4:26379"] = &fake{id: "four", master: next, epoch: 9, count: 3, downAfter: time.Second}
	g.change(func(f *fake) {
		f.knows = append(f.knows, member{"three", "192.0.2.4:26379"}, member{"five", "192.0.2.4:26379"})
	}, s1, s2)
	started(t, g, []string{s1, s2}, func(t *testing.T, w *Watch, m *moves) {
		time.Sleep(10 * time.Second)
		g.quietly(next, 2, s1)
		g.change(func(f *fake) { f.down = true }, s3)
		time.Sleep(10 * time.Second)
		m.want(t, old)
	})
}

// Those of whom nobody tells any more are not asked any more.
func TestOtherIsForgotten(t *testing.T) {
	g := newGroup()
	started(t, g, []string{s1, s2}, func(t *testing.T, w *Watch, m *moves) {
		time.Sleep(3 * time.Second)
		if g.asked(s3) == 0 {
			t.Error("it was not asked at all")
		}
		g.change(func(f *fake) {
			f.knows = slices.DeleteFunc(f.knows, func(m member) bool { return m.id == "three" })
			f.count = 2
		}, s1, s2)
		time.Sleep(2 * listEvery)
		before := g.asked(s3)
		time.Sleep(time.Minute)
		if n := g.asked(s3); n != before {
			t.Errorf("it was asked %d times", n-before)
		}
	})
}

// A Sentinel that hangs delays nobody, and is asked by one question at a time.
func TestHangingSentinel(t *testing.T) {
	g := newGroup()
	started(t, g, all, func(t *testing.T, w *Watch, m *moves) {
		time.Sleep(time.Second)
		g.change(func(f *fake) { f.silent = true }, s3)
		before := g.asked(s3)
		for range 50 {
			began := time.Now()
			if err := vouch(t, w, old); err != nil || time.Since(began) > 50*time.Millisecond {
				t.Fatalf("%v after %v", err, time.Since(began))
			}
			time.Sleep(20 * time.Millisecond)
		}
		if n := g.asked(s3) - before; n > 2 {
			t.Errorf("it was asked %d times in a second", n)
		}
		g.quietly(next, 2, s2)
		g.failOver(next, s1)
		time.Sleep(10 * time.Millisecond)
		m.want(t, old, next)
	})
}

// Where needs the answer of a Sentinel that is far away, if the others do not agree.
func TestFarSentinel(t *testing.T) {
	g := newGroup()
	g.change(func(f *fake) { f.slow = 700 * time.Millisecond }, s3)
	started(t, g, all, func(t *testing.T, w *Watch, m *moves) {
		g.quietly(next, 2, s1, s3)
		time.Sleep(6 * time.Second)
		m.want(t, old, next)
	})
}

// Close ends what waits.
func TestClose(t *testing.T) {
	g := newGroup()
	started(t, g, all, func(t *testing.T, w *Watch, m *moves) {
		g.change(func(f *fake) { f.silent = true }, all...)
		time.AfterFunc(100*time.Millisecond, w.Close)
		began := time.Now()
		if err := w.Vouch(t.Context(), old); err == nil || errors.Is(err, errElsewhere) || time.Since(began) > time.Second {
			t.Errorf("Vouch = %v after %v", err, time.Since(began))
		}
		if err := w.Vouch(t.Context(), old); !errors.Is(err, node.ErrClosed) {
			t.Errorf("Vouch = %v", err)
		}
	})
}
