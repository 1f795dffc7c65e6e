package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/driver"
)

// An answer counts without more while the server has not been silent, and otherwise if the Place still names it.
func TestAnswersAfterSilence(t *testing.T) {
	withPlace(t, func(t *testing.T, w *world) {
		want := func(step string, asked int) {
			t.Helper()
			if err := w.echo(t, step); err != nil {
				t.Errorf("%s: %v", step, err)
			}
			if n := w.place.asked(); n != asked {
				t.Errorf("%s: the Place was asked %d times, want %d", step, n, asked)
			}
		}
		want("the first answer of a server", 1)
		want("the second", 0)
		time.Sleep(testSilence)
		want("after just so long", 0)
		for range 3 {
			time.Sleep(testSilence * 3 / 4) // each answer counts from its own request
			want("again and again", 0)
		}
		time.Sleep(testSilence + 1)
		want("after longer", 1)
		w.move(addrB)
		want("the first of another", 1)
		want("its second", 0)

		time.Sleep(testSilence + 1)
		w.place.refuses = fmt.Errorf("two of three Sentinels do not answer: %w: %w: %w", driver.ErrRefused, context.DeadlineExceeded, Replied("NOAUTH no"))
		for range 2 { // the first has not made the second count
			err := w.echo(t, "x")
			wantReplaced(t, "an answer for which nobody vouches", err)
			if !strings.Contains(err.Error(), addrB) || !strings.Contains(err.Error(), "two of three Sentinels do not answer") {
				t.Errorf("it does not say why: %v", err)
			}
		}
		w.place.refuses = nil
		w.place.asked()
		want("when they answer", 1)

		time.Sleep(testSilence + 1)
		w.place.set(addrC) // they name another, and this node does not know yet
		wantReplaced(t, "an answer of one that is not the one", w.echo(t, "x"))
	})
}

// All ways to ask: an answer that does not count is an error, without a reply.
func TestAllAnswersAreVouchedFor(t *testing.T) {
	withPlace(t, func(t *testing.T, w *world) {
		ways := map[string]func() (any, error){
			"Eval": func() (any, error) { return w.Eval(t.Context(), time.Second, echoScript, 1, args("x")...) },
			"Eval of a script that is dedicated": func() (any, error) {
				return w.Eval(t.Context(), time.Second, apartScript, 1, args("x")...)
			},
			"Eval of a script that the server does not know": func() (any, error) {
				w.at[addrA].restart("b1", false)
				return w.Eval(t.Context(), time.Second, otherScript, 1, args("x")...)
			},
			"EvalAsking": func() (any, error) { return w.EvalAsking(t.Context(), time.Second, echoScript, 1, args("x")...) },
			"Do":         func() (any, error) { return w.Do(t.Context(), time.Second, "delex", "x") },
			"Once":       func() (any, error) { return w.Once(t.Context(), time.Second, "delex", "x") },
			"Once, with nil": func() (any, error) {
				reply, err := w.Once(t.Context(), time.Second, "delex", "nil")
				if errors.Is(err, goredis.Nil) {
					return "x", nil
				}
				return reply, err
			},
			"Go": func() (any, error) {
				got := <-call(t, w.Node, Call{Args: args("x")})
				return got.reply, got.err
			},
			"Go, with nil": func() (any, error) {
				got := <-call(t, w.Node, Call{Args: args("nil")})
				if got == (outcome{}) {
					return "x", nil
				}
				return got.reply, got.err
			},
			"Go of a script that the server does not know": func() (any, error) {
				w.at[addrA].restart("b1", false)
				got := <-call(t, w.Node, Call{Script: otherScript, Args: args("x")})
				return got.reply, got.err
			},
			"EvalAll": func() (any, error) {
				got, _ := evalAll(t, w.Node, Call{Args: args("x")}, Call{Command: []any{"delex", "x"}})
				if got[1] != got[0] && got[1].err == nil {
					t.Errorf("EvalAll: %v", got)
				}
				return got[0].reply, got[0].err
			},
			"many at a time": func() (any, error) {
				var callers sync.WaitGroup
				var mu sync.Mutex
				var bad error
				for range 100 {
					callers.Go(func() {
						reply, err := w.Do(t.Context(), time.Second, "delex", "x")
						if err != nil || reply != "x" {
							mu.Lock()
							bad = err
							mu.Unlock()
						}
					})
				}
				callers.Wait()
				if bad != nil {
					return nil, bad
				}
				return "x", nil
			},
		}
		for name, ask := range ways {
			w.place.refuses = nil
			for range 2 { // silent and known, and not
				if reply, err := ask(); err != nil || reply != "x" {
					t.Errorf("%s: %v, %v", name, reply, err)
				}
			}
			time.Sleep(testSilence + 1)
			w.place.asked()
			if reply, err := ask(); err != nil || reply != "x" || w.place.asked() == 0 {
				t.Errorf("%s, after silence: %v, %v, without Vouch", name, reply, err)
			}
			time.Sleep(testSilence + 1)
			w.place.refuses = errors.New("no")
			reply, err := ask()
			wantReplaced(t, name, err)
			if reply != nil {
				t.Errorf("%s: with the error comes the reply %v", name, reply)
			}
		}
	})
}

// An error of the server needs nobody's word, and shows nothing of silence.
func TestErrorsAreNotVouchedFor(t *testing.T) {
	withPlace(t, func(t *testing.T, w *world) {
		w.place.refuses = errors.New("no")
		for range 2 {
			if err := w.echo(t, "refuse"); !errors.Is(Classify(t.Context(), err), driver.ErrRefused) {
				t.Errorf("a refusal: %v", err)
			}
			if got := <-call(t, w.Node, Call{Args: args("refuse")}); !errors.Is(Classify(t.Context(), got.err), driver.ErrRefused) {
				t.Errorf("a refused call: %v", got)
			}
		}
		if n := w.place.asked(); n != 0 {
			t.Errorf("the Place was asked %d times", n)
		}
		wantReplaced(t, "an answer", w.echo(t, "x"))
	})
}

// What counts is when a request was sent, not when its answer came or the Place was asked: by then the server may
// have been asleep for long.
func TestHeardIsWhenARequestWasSent(t *testing.T) {
	withPlace(t, func(t *testing.T, w *world) {
		_ = w.echo(t, "known")
		w.place.asked()
		a := w.at[addrA]
		a.held = make(chan struct{})
		slow := make(chan error)
		go func() { slow <- w.echo(t, "slow") }()
		time.Sleep(5 * testSilence)
		close(a.held) // the answer comes long after its request was sent
		if err := <-slow; err != nil || w.place.asked() != 1 {
			t.Errorf("a slow answer: %v", err)
		}
		a.mu.Lock()
		a.held = nil
		a.mu.Unlock()
		if err := w.echo(t, "next"); err != nil || w.place.asked() != 1 {
			t.Errorf("the next, at once: %v; or it was not vouched for", err)
		}
		// Now an answer has come to a request that was just sent. A slow one that was sent before does not matter.
		a.held = make(chan struct{})
		go func() { slow <- w.echo(t, "slow again") }()
		synctest.Wait()
		held := a.held
		a.mu.Lock()
		a.held = nil
		a.mu.Unlock()
		time.Sleep(2 * testSilence)
		if err := w.echo(t, "a quick one"); err != nil || w.place.asked() != 1 {
			t.Errorf("a quick one: %v", err)
		}
		close(held)
		if err := <-slow; err != nil || w.place.asked() != 0 {
			t.Errorf("a slow answer among quick ones: %v; or it was vouched for", err)
		}
		if err := w.echo(t, "next"); err != nil || w.place.asked() != 0 {
			t.Errorf("the next after it: %v; or it was vouched for", err)
		}
	})
}

// One question is under way at a time. Answers that come meanwhile share the next one, which begins after they came.
func TestVouchIsShared(t *testing.T) {
	withPlace(t, func(t *testing.T, w *world) {
		for range 8 {
			go func() { _ = w.echo(t, "known") }()
		}
		synctest.Wait()
		time.Sleep(testSilence + 1)
		w.place.asked()
		asking := make(chan struct{})
		underWay := 0
		w.place.asking = func(context.Context) {
			w.place.mu.Lock()
			underWay++
			if underWay > 1 {
				t.Error("two questions are under way")
			}
			w.place.mu.Unlock()
			asking <- struct{}{}
			w.place.mu.Lock()
			underWay--
			w.place.mu.Unlock()
		}
		ended := make(chan error, 10)
		ask := func() { ended <- w.echo(t, "x") }
		go ask()
		synctest.Wait() // its answer has come
		for range 5 {
			go ask()
		}
		later := call(t, w.Node, Call{Args: args("x")})
		synctest.Wait()
		if n := w.place.asked(); n != 1 {
			t.Fatalf("%d questions have begun", n)
		}
		<-asking
		if err := <-ended; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		// The first has made heard newer. It is too late for those that wait.
		if n := w.place.asked(); n != 1 || len(ended) > 0 {
			t.Fatalf("%d more questions have begun, and %d have ended", n, len(ended))
		}
		<-asking
		for range 5 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if got := <-later; got.err != nil || w.place.asked() != 0 {
			t.Error(got)
		}
	})
}

// Vouch takes no longer than a request may, ends with its context, with the last who waits, and with a move.
func TestVouchEnds(t *testing.T) {
	withPlace(t, func(t *testing.T, w *world) {
		_ = w.echo(t, "known")
		<-call(t, w.Node, Call{Args: args("known")})
		ended := make(chan time.Time, 10) // of Vouch
		w.place.asking = func(ctx context.Context) {
			<-ctx.Done()
			ended <- time.Now()
		}
		time.Sleep(testSilence + 1)

		began := time.Now()
		_, err := w.Eval(t.Context(), 2*time.Second, echoScript, 1, args("x")...)
		wantReplaced(t, "a timeout", err)
		if took := (<-ended).Sub(began); took != 2*time.Second || time.Since(began) != took {
			t.Errorf("the request took %v, and Vouch %v", time.Since(began), took)
		}

		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(why) })
		began = time.Now()
		if _, err = w.Eval(ctx, time.Minute, echoScript, 1, args("x")...); !errors.Is(err, why) || time.Since(began) != time.Second {
			t.Errorf("the end of the context: %v after %v", err, time.Since(began))
		}
		if took := (<-ended).Sub(began); took != time.Second {
			t.Errorf("Vouch took %v", took)
		}

		// One who waits for longer keeps it going; one whose question has not begun leaves nothing behind.
		began = time.Now()
		long := make(chan error)
		go func() {
			_, err := w.Eval(t.Context(), 4*time.Second, echoScript, 1, args("x")...)
			long <- err
		}()
		synctest.Wait()
		_, err = w.Eval(t.Context(), time.Second, echoScript, 1, args("x")...)
		wantReplaced(t, "one whose question has not begun", err)
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %v", took)
		}
		w.place.asked()
		wantReplaced(t, "the long one", <-long)
		<-ended
		synctest.Wait()
		if n := w.place.asked(); n != 0 || len(ended) != 0 {
			t.Errorf("%d questions that nobody waits for were asked", n)
		}

		began = time.Now()
		time.AfterFunc(time.Second, func() { w.move(addrB) })
		got := <-call(t, w.Node, Call{Args: args("x"), Timeout: time.Minute})
		wantReplaced(t, "a move", got.err)
		if took := (<-ended).Sub(began); took != time.Second || time.Since(began) != took {
			t.Errorf("the request took %v, and Vouch %v", time.Since(began), took)
		}
	})
}

// A server that moves while the Place is asked has not answered, whatever the Place says.
func TestMovedWhileVouching(t *testing.T) {
	withPlace(t, func(t *testing.T, w *world) {
		_ = w.echo(t, "known")
		time.Sleep(testSilence + 1)
		w.place.asking = func(context.Context) { w.Moved(addrB) } // the Place itself is still of the other opinion
		at := w.locator.now.Load()
		err := w.locator.accept(t.Context(), at, time.Now(), time.Second)
		wantReplaced(t, "an answer", err)
	})
}

// Close ends an answer's wait for the Place, and waits for the Place.
func TestCloseWhileVouching(t *testing.T) {
	withPlace(t, func(t *testing.T, w *world) {
		_ = w.echo(t, "known")
		time.Sleep(testSilence + 1)
		left := false
		w.place.asking = func(ctx context.Context) {
			<-ctx.Done()
			time.Sleep(time.Second)
			left = true
		}
		ended := make(chan error)
		go func() {
			_, err := w.Eval(context.Background(), time.Minute, echoScript, 1, args("x")...)
			ended <- err
		}()
		synctest.Wait()
		time.AfterFunc(time.Second, w.Close)
		if err := <-ended; !errors.Is(err, ErrClosed) {
			t.Errorf("an answer: %v", err)
		}
		w.Close()
		if !left {
			t.Error("the Place is still asked after Close")
		}
		if err := w.echo(t, "x"); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// A Place costs a request no memory.
func TestPlaceAllocatesNothing(t *testing.T) {
	var allocs [2]float64
	for i, place := range []Place{nil, &place{addr: addrA, silence: time.Hour}} {
		f := &fakeServer{}
		conf := f.conf()
		n := New(t.Context(), Config{Options: conf, Place: place, DirectLimit: 8})
		ask := func() {
			if _, err := n.Do(t.Context(), time.Minute, "echo", "x"); err != nil {
				t.Fatal(err)
			}
		}
		ask()
		allocs[i] = testing.AllocsPerRun(1000, ask)
		n.Close()
	}
	if allocs[1] > allocs[0] {
		t.Errorf("a request allocates %v times with a Place, and %v without", allocs[1], allocs[0])
	}
}
