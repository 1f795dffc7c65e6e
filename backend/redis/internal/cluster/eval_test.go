package cluster

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver"
)

var script = node.NewScript("return 1")

// eval runs the script, and returns how long that took.
func eval(ctx context.Context, c *Cluster, timeout time.Duration, key string) (took time.Duration, err error) {
	began := time.Now()
	_, sent, err := c.Eval(ctx, timeout, script, key, "arg")
	if err == nil && sent.Before(began) {
		err = errors.New("it was sent before it began")
	}
	return time.Since(began), err
}

func expectScripts(t *testing.T, w *world, want ...string) {
	t.Helper()
	if got := w.scripts(); !slices.Equal(got, want) {
		t.Errorf("scripts: %q, want %q", got, want)
	}
}

func TestKeysOfTheTests(t *testing.T) {
	for key, x := range map[string]claim{keyA: threeMasters()[0], keyB: threeMasters()[1], keyC: threeMasters()[2]} {
		if slot := Slot(key); slot < x.first || slot > x.last {
			t.Fatalf("%s has the slot %d, want one of %s", key, slot, x.addr)
		}
	}
}

// A script goes to the master of its key's slot. Where that has moved, the redirection is followed at once, and the next
// one needs none.
func TestMoved(t *testing.T) {
	w := newWorld(threeMasters()...)
	inWorld(t, w, func(t *testing.T, c *Cluster) {
		for _, key := range []string{keyA, keyB, keyC} {
			if _, err := eval(t.Context(), c, time.Second, key); err != nil {
				t.Fatal(err)
			}
		}
		expectScripts(t, w, a1+" "+keyA, b1+" "+keyB, c1+" "+keyC)
		w.change(func(f *fake) { f.says = func(key string, _ bool) string { return moved(key, b1) } }, a1)
		for range 2 {
			if took, err := eval(t.Context(), c, time.Second, keyA); err != nil || took > 0 {
				t.Errorf("%v after %v", err, took)
			}
		}
		expectScripts(t, w, a1+" "+keyA, b1+" "+keyA, b1+" "+keyA)
	})
}

// A node leaves the host out that it does not know: it is the one that was asked.
func TestMovedWithoutHost(t *testing.T) {
	const other = "192.0.2.1:7000"
	w := newWorld(append(threeMasters(), claim{addr: other, flags: "slave"})...)
	inWorld(t, w, func(t *testing.T, c *Cluster) {
		w.change(see(append(threeMasters()[1:3], claim{a1, "slave", 9, 0, 0}, claim{other, "master", 9, 0, 5460})))
		w.change(func(f *fake) { f.says = func(key string, _ bool) string { return moved(key, ":7000") } }, a1)
		if _, err := eval(t.Context(), c, time.Second, keyA); err != nil {
			t.Error(err)
		}
		expectScripts(t, w, a1+" "+keyA, other+" "+keyA)
	})
}

// A key on its way is asked for at the other node, in full, and the map stays as it is.
func TestAsk(t *testing.T) {
	w := newWorld(threeMasters()...)
	inWorld(t, w, func(t *testing.T, c *Cluster) {
		w.change(func(f *fake) { f.says = func(key string, _ bool) string { return ask(key, b1) } }, a1)
		w.change(func(f *fake) {
			f.says = func(key string, asking bool) string {
				if !asking {
					return moved(key, a1)
				}
				return ":1\r\n"
			}
		}, b1)
		for range 2 {
			if took, err := eval(t.Context(), c, time.Second, keyA); err != nil || took > 0 {
				t.Errorf("%v after %v", err, took)
			}
			expectScripts(t, w, a1+" "+keyA, b1+" "+keyA+" asking full")
		}
	})
}

// Nodes that send a request in circles are not asked more often than they can bear, and not for longer than the
// request's time. It has done nothing, and may be asked again.
func TestMovedInCircles(t *testing.T) {
	w := newWorld(threeMasters()...)
	inWorld(t, w, func(t *testing.T, c *Cluster) {
		w.change(func(f *fake) { f.says = func(key string, _ bool) string { return moved(key, b1) } }, a1)
		w.change(func(f *fake) { f.says = func(key string, _ bool) string { return moved(key, a1) } }, b1)
		took, err := eval(t.Context(), c, time.Second, keyA)
		if took < 900*time.Millisecond || took > 1100*time.Millisecond {
			t.Errorf("it took %v, with a second of time", took)
		}
		expectRefused(t, err)
		if n := len(w.scripts()); n > 150 || n < 3*maxHops {
			t.Errorf("%d requests", n)
		}
	})
}

// expectRefused wants an error that says that nothing was done, and that asking again may help.
func expectRefused(t *testing.T, err error) {
	t.Helper()
	classified := node.Classify(t.Context(), err)
	if !errors.Is(err, driver.ErrRefused) || !errors.Is(classified, driver.ErrRefused) || !errors.Is(classified, driver.ErrUnavailable) {
		t.Errorf("%v; want a refusal that may pass", classified)
	}
}

// What passes is waited for: within the time of the request, and the caller's.
func TestPassingRefusals(t *testing.T) {
	for _, refusal := range []string{"TRYAGAIN x", "CLUSTERDOWN x", "LOADING x", "MASTERDOWN x", "READONLY x"} {
		w := newWorld(threeMasters()...)
		inWorld(t, w, func(t *testing.T, c *Cluster) {
			refuse := func(f *fake) { f.says = func(string, bool) string { return "-" + refusal + "\r\n" } }
			w.change(refuse, a1)
			time.AfterFunc(300*time.Millisecond, func() { w.change(func(f *fake) { f.says = nil }, a1) })
			if took, err := eval(t.Context(), c, time.Second, keyA); err != nil || took > 300*time.Millisecond+mostPause {
				t.Errorf("%s: %v after %v", refusal, err, took)
			}
			if n := len(w.scripts()); n < 5 || n > 25 {
				t.Errorf("%s: %d requests", refusal, n)
			}
			w.change(refuse, a1)
			took, err := eval(t.Context(), c, 500*time.Millisecond, keyA)
			if took < 350*time.Millisecond || took > 550*time.Millisecond {
				t.Errorf("%s: it took %v, with half a second of time", refusal, took)
			}
			expectRefused(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if took, err := eval(ctx, c, time.Second, keyA); took != 100*time.Millisecond || err == nil {
				t.Errorf("%s: %v after %v, when the caller's time was over after 100ms", refusal, err, took)
			}
		})
	}
}

// What will not pass is the caller's at once.
func TestOtherRefusals(t *testing.T) {
	for _, refusal := range []string{"NOPERM x", "WRONGTYPE x", "OOM x", "ERR x"} {
		w := newWorld(threeMasters()...)
		inWorld(t, w, func(t *testing.T, c *Cluster) {
			w.change(func(f *fake) { f.says = func(string, bool) string { return "-" + refusal + "\r\n" } }, a1)
			if took, err := eval(t.Context(), c, time.Second, keyA); err == nil || !strings.Contains(err.Error(), refusal) || took > 0 {
				t.Errorf("%s: %v after %v", refusal, err, took)
			}
			expectScripts(t, w, a1+" "+keyA)
		})
	}
}

// A request whose answer is lost is not sent twice. But when another master has taken over, the caller is told at once.
func TestLostAnswer(t *testing.T) {
	w := newWorld(threeMasters()...)
	inWorld(t, w, func(t *testing.T, c *Cluster) {
		if _, err := eval(t.Context(), c, time.Second, keyA); err != nil { // so that there is a connection
			t.Fatal(err)
		}
		w.scripts()
		w.change(func(f *fake) { f.silent = true }, a1)
		time.AfterFunc(200*time.Millisecond, func() {
			w.change(see(failedOver()), b1, c1, r1)
			c.Doubt(a1)
		})
		took, err := eval(t.Context(), c, 2*time.Second, keyA)
		if took < 200*time.Millisecond || took > 600*time.Millisecond || !errors.Is(err, node.ErrReplaced) || errors.Is(err, driver.ErrRefused) {
			t.Errorf("%v after %v", err, took)
		}
		expectScripts(t, w, a1+" "+keyA)
		if took, err := eval(t.Context(), c, time.Second, keyA); err != nil || took > 0 {
			t.Errorf("%v after %v", err, took)
		}
		expectScripts(t, w, r1+" "+keyA)
		w.mu.Lock()
		defer w.mu.Unlock()
		if !slices.Equal(w.failed, []string{a1}) {
			t.Errorf("told to have failed: %q", w.failed)
		}
	})
}

// What could not be sent goes to the new master as soon as it is known.
func TestNobodyThere(t *testing.T) {
	w := newWorld(threeMasters()...)
	inWorld(t, w, func(t *testing.T, c *Cluster) {
		w.change(func(f *fake) { f.down = true }, a1)
		time.AfterFunc(300*time.Millisecond, func() { w.change(see(failedOver()), b1, c1, r1) })
		if took, err := eval(t.Context(), c, time.Second, keyA); err != nil || took < 300*time.Millisecond || took > 300*time.Millisecond+mostLook {
			t.Errorf("%v after %v", err, took)
		}
		expectScripts(t, w, r1+" "+keyA)
		if took, err := eval(t.Context(), c, time.Second, keyB); err != nil || took > 0 {
			t.Errorf("another master: %v after %v", err, took)
		}
	})
}

// What waits for a connection to a master that is replaced meanwhile goes to the new one.
func TestNotSentYet(t *testing.T) {
	w := newWorld(threeMasters()...)
	inWorld(t, w, func(t *testing.T, c *Cluster) {
		w.change(func(f *fake) { f.silent = true }, a1) // also to who connects
		time.AfterFunc(300*time.Millisecond, func() {
			w.change(see(failedOver()), b1, c1, r1)
			c.Doubt(a1)
		})
		if took, err := eval(t.Context(), c, time.Second, keyA); err != nil || took < 300*time.Millisecond || took > 300*time.Millisecond+mostLook {
			t.Errorf("%v after %v", err, took)
		}
		expectScripts(t, w, r1+" "+keyA)
	})
}

// Close ends what is under way.
func TestCloseEndsEval(t *testing.T) {
	w := newWorld(threeMasters()...)
	inWorld(t, w, func(t *testing.T, c *Cluster) {
		w.change(func(f *fake) { f.says = func(string, bool) string { return "-TRYAGAIN x\r\n" } }, a1)
		w.change(func(f *fake) { f.silent = true }, b1)
		ended := make(chan error, 2)
		for _, key := range []string{keyA, keyB} {
			go func() {
				_, err := eval(t.Context(), c, time.Hour, key)
				ended <- err
			}()
		}
		time.Sleep(time.Second)
		began := time.Now()
		c.Close()
		for range 2 {
			if err := <-ended; err == nil {
				t.Error("it has an answer")
			}
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("Close took %v", took)
		}
		if _, err := eval(t.Context(), c, time.Second, keyA); !errors.Is(err, node.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}
