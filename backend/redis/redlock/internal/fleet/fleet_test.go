package fleet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

// TestFirstStart: several clients at once make one list.
func TestFirstStart(t *testing.T) {
	run(t, func(t *testing.T) {
		all := servers(5)
		fleets := make([]*Fleet, 4)
		var opening sync.WaitGroup
		for i := range fleets {
			opening.Go(func() {
				fleets[i] = New(config(all, nil))
				if err := fleets[i].Wait(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		opening.Wait()
		pass(time.Second)
		for _, f := range fleets {
			if fit(f) != "yyyyy" || f.List().text != fleets[0].List().text || f.List().Level != Fenced {
				t.Errorf("%s of %v", fit(f), f.List())
			}
			for i := range all {
				if err := send(f, i); err != nil {
					t.Error(err)
				}
			}
			f.Close()
		}
		for i, s := range all {
			if !s.closed {
				t.Errorf("server %d is open", i+1)
			}
		}
	})
}

// TestFirstStarts: programs that start at about the same time, on servers of different distance, see the list at
// some nodes before others have it. All open, and none tells anybody to replace a node.
func TestFirstStarts(t *testing.T) {
	for seed := range uint64(100) {
		run(t, func(t *testing.T) {
			all, log := servers(3), &journal{}
			for i, s := range all {
				s.rand = rand.New(rand.NewPCG(seed, uint64(i)))
			}
			var opening sync.WaitGroup
			for i := range 6 {
				opening.Go(func() {
					time.Sleep(time.Duration(i) * 7 * time.Millisecond)
					f := New(config(all, log))
					defer f.Close()
					if err := f.Wait(t.Context()); err != nil {
						t.Errorf("seed %d: %v", seed, err)
					}
				})
			}
			opening.Wait()
			if text := log.String(); strings.Contains(text, "replace") {
				t.Errorf("seed %d: %s", seed, text)
			}
		})
	}
}

// TestOpensWithAMajority: one that is down, hangs or is of the wrong kind is missing, and said to be.
func TestOpensWithAMajority(t *testing.T) {
	for what, spoil := range map[string]func(s *fake){
		"connection refused": func(s *fake) { s.down = errDown },
		"no answer yet":      func(s *fake) { s.hang = true },
		"it is a replica":    func(s *fake) { s.unusable = fmt.Errorf("%w: it is a replica", driver.ErrUnsupported) },
		"NOPERM +get":        func(s *fake) { s.prepare = fmt.Errorf("%w: NOPERM +get", driver.ErrRefused) },
	} {
		t.Run(what, func(t *testing.T) {
			run(t, func(t *testing.T) {
				all := servers(3)
				first := open(t, config(all, nil))
				first.Close()
				all[1].set(spoil)
				var log journal
				began := time.Now()
				f := New(config(all, &log))
				defer f.Close()
				if err := f.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took > 300*time.Millisecond {
					t.Errorf("it took %v", took)
				}
				missing := f.Missing()
				want := strings.Replace(what, "no answer yet", "it has not answered yet", 1)
				if fit(f) != "yny" || len(missing) != 1 || missing[0].Node != "h2:1" || !strings.Contains(missing[0].Err.Error(), want) {
					t.Errorf("%s: %v", fit(f), missing)
				}
				pass(time.Minute)
				if text := log.String(); text != "" { // of what is missing at first the caller tells
					t.Errorf("the log: %s", text)
				}

				// Two, and there is no majority.
				all[2].set(spoil)
				f2 := New(config(all, nil))
				defer f2.Close()
				ctx, cancel := context.WithTimeoutCause(t.Context(), 5*time.Second, fmt.Errorf("%w: not within 5 s", driver.ErrUnavailable))
				defer cancel()
				err := f2.Wait(ctx)
				if err == nil || !strings.Contains(err.Error(), "h1:1: ") || strings.Count(err.Error(), strings.Replace(what, "no answer yet", "no answer", 1)) < 2 {
					t.Errorf("Wait = %v", err)
				}
				passes := errors.Is(err, driver.ErrUnavailable)
				if all[1].down != nil && !passes || all[1].unusable != nil && !errors.Is(err, driver.ErrUnsupported) || all[1].prepare != nil && !errors.Is(err, driver.ErrRefused) {
					t.Errorf("Wait = %v, of another kind", err)
				}
			})
		})
	}
}

// TestOpenFailsAtOnce: what is wrong in the URL, and what has been refused by all, needs no waiting.
func TestOpenFailsAtOnce(t *testing.T) {
	run(t, func(t *testing.T) {
		all := servers(3)
		all[2] = all[0]
		f := New(config(all, nil))
		defer f.Close()
		began := time.Now()
		if err := f.Wait(t.Context()); !errors.Is(err, driver.ErrInvalid) || !strings.Contains(err.Error(), "h1:1 and h3:1 are the same server") {
			t.Errorf("Wait = %v", err)
		}
		for i := range 3 {
			all[i] = newFake(i)
			all[i].down = errDown
		}
		f2 := New(config(all, nil))
		defer f2.Close()
		if err := f2.Wait(t.Context()); !errors.Is(err, driver.ErrUnavailable) || strings.Count(err.Error(), "connection refused") != 3 {
			t.Errorf("Wait = %v", err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// TestRememberedHealth: who has not answered is asked no more until it does, and the first request after
// that has an answer.
func TestRememberedHealth(t *testing.T) {
	run(t, func(t *testing.T) {
		all := servers(3)
		var log journal
		f := open(t, config(all, &log))
		all[1].set(func(s *fake) { s.hang = true })
		began := time.Now()
		if err := send(f, 1); !is(err, driver.ErrUnavailable) || time.Since(began) != time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		began = time.Now()
		for range 100 {
			if err := send(f, 1); !is(err, driver.ErrUnavailable, wire.ErrNotSent) {
				t.Fatal(err)
			}
			if fit(f) != "yny" {
				t.Fatal(fit(f))
			}
			pass(10 * time.Millisecond)
		}
		if took := time.Since(began); took > 1100*time.Millisecond {
			t.Errorf("100 requests took %v", took)
		}
		f.members[0].wake() // what is seen of others is no news of this one
		pass(100 * time.Millisecond)
		if fit(f) != "yny" {
			t.Error(fit(f))
		}
		all[1].set(func(s *fake) { s.hang = false })
		pass(7 * time.Second) // the look that hangs ends
		if err := send(f, 1); err != nil {
			t.Error(err)
		}
		// While a node is fit nobody looks at it.
		all[0].mu.Lock()
		asked := all[0].asked
		all[0].mu.Unlock()
		pass(time.Hour)
		if all[0].asked != asked {
			t.Errorf("it was looked at %d times in an hour", all[0].asked-asked)
		}
		all[0].set(func(s *fake) { s.down = errDown })
		_ = send(f, 0)
		pass(time.Minute)
		if n := all[0].asked - asked; n < 50 || n > 150 {
			t.Errorf("a node that was down for a minute was asked %d times", n)
		}
	})
}

// TestRestarts: a node of a fenced list is back at once, by whichever client; requests for the process
// before are never carried out.
func TestRestarts(t *testing.T) {
	run(t, func(t *testing.T) {
		all := servers(3)
		a, b := open(t, config(all, nil)), open(t, config(all, nil))
		pass(time.Second)
		for i := range 5 {
			all[1].restart(false)
			if err := send(a, 1); !is(err, driver.ErrUnavailable, wire.ErrNotSent) {
				t.Error(err)
			}
			pass(100 * time.Millisecond)
			if err := send(a, 1); err != nil {
				t.Error(err)
			}
			if err := send(b, 1); i == 0 && err == nil {
				t.Error("a request was carried out that was for the process before")
			}
			pass(100 * time.Millisecond)
			if err := send(b, 1); err != nil {
				t.Error(err)
			}
		}
		if r, err := parseRecord(all[1].cert); err != nil || r.count != 6 {
			t.Errorf("%v, %v", all[1].cert, err)
		}
	})
}

// TestRefusedOnReturn: one that is emptied, one with old data and one with weak settings; the log says
// each once, and that it is back.
func TestRefusedOnReturn(t *testing.T) {
	for what, change := range map[string]func(s *fake){
		"lost its data": func(s *fake) { s.id, s.list, s.cert = "", "", "" },
		"old data": func(s *fake) {
			r, _ := parseRecord(s.cert)
			r.count--
			s.cert = r.String()
		},
		"appendfsync": func(s *fake) { s.weak = "set appendfsync always" },
	} {
		t.Run(what, func(t *testing.T) {
			run(t, func(t *testing.T) {
				all := servers(3)
				var log journal
				f := open(t, config(all, &log))
				id, list, cert := all[2].id, all[2].list, all[2].cert
				all[2].restart(false)
				all[2].set(change)
				f.members[2].again()
				pass(time.Hour)
				if err := f.members[2].Fit(); fit(f) != "yyn" || !strings.Contains(err.Error(), what) {
					t.Errorf("%s: %v", fit(f), err)
				}
				if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, what) {
					t.Errorf("the log: %s", text)
				}
				all[2].set(func(s *fake) { s.id, s.list, s.cert, s.weak = id, list, cert, "" })
				pass(2 * time.Second)
				if fit(f) != "yyy" || !strings.Contains(log.String(), "takes part again") {
					t.Errorf("%s; the log: %s", fit(f), log.String())
				}
			})
		})
	}
}

// TestAbstains: a node of an advisory list that was restarted has no vote for the longest TTL, and then
// counters that are no lower than those of a majority.
func TestAbstains(t *testing.T) {
	for _, empty := range []bool{false, true} {
		t.Run(fmt.Sprint("empty=", empty), func(t *testing.T) {
			run(t, func(t *testing.T) {
				all := servers(3)
				all[0].weak = "it keeps nothing"
				c := config(all, nil)
				c.TTL = 10 * time.Second
				f := open(t, c)
				if l := f.List(); l.Level != Advisory || l.Why != "h1:1: it keeps nothing" {
					t.Fatal(l)
				}
				id := all[2].id
				all[2].set(func(s *fake) { s.counters["7"] = 100 })
				all[1].set(func(s *fake) { s.counters["7"], s.counters["127"] = 100, 5 })
				all[2].restart(true)
				if !empty {
					all[2].set(func(s *fake) { s.id, s.list, s.cert = id, all[1].list, strings.Replace(all[1].cert, all[1].id, id, 1) })
				}
				_ = send(f, 2)
				pass(9900 * time.Millisecond)
				all[1].set(func(s *fake) { s.counters["7"] = 120 }) // granted meanwhile
				if fit(f) != "yyn" || !abstains(f.members[2].Fit()) {
					t.Errorf("%s: %v", fit(f), f.members[2].Fit())
				}
				// A client that comes now waits for as long by itself, and profits from the first.
				other := open(t, config(all, nil))
				if fit(other) != "yyn" {
					t.Error(fit(other))
				}
				pass(2 * time.Second)
				if fit(f) != "yyy" || fit(other) != "yyy" || all[2].counters["7"] != 120 || all[2].counters["127"] != 5 || all[2].id != id {
					t.Errorf("%s, %s, %v: %v", fit(f), fit(other), f.members[2].Fit(), all[2].counters)
				}
			})
		})
	}
}

// TestAllRestarted: clients open while all nodes abstain, and can lock after that.
func TestAllRestarted(t *testing.T) {
	run(t, func(t *testing.T) {
		all := servers(3)
		all[0].weak = "it keeps nothing"
		open(t, config(all, nil)).Close()
		for _, s := range all {
			s.restart(false)
		}
		f := open(t, config(all, nil))
		if fit(f) != "nnn" || len(f.Missing()) != 3 {
			t.Error(fit(f))
		}
		pass(62 * time.Second)
		if fit(f) != "yyy" {
			t.Error(fit(f))
		}
		// All forget everything while a client runs: it makes them the same list again.
		for _, s := range all {
			s.restart(true)
		}
		for i := range all {
			_ = send(f, i)
		}
		pass(50 * time.Second)
		if fit(f) != "nnn" {
			t.Error(fit(f))
		}
		pass(15 * time.Second)
		if fit(f) != "yyy" {
			t.Errorf("%s: %v", fit(f), f.Missing())
		}
	})
}

// TestNoCountersNoVote: as long as a majority of others is there and does not tell its counters, the
// node is not certified.
func TestNoCountersNoVote(t *testing.T) {
	run(t, func(t *testing.T) {
		all := servers(3)
		all[0].weak = "it keeps nothing"
		f := open(t, config(all, nil))
		all[2].restart(true)
		_ = send(f, 2)
		pass(50 * time.Second)
		all[0].set(func(s *fake) { s.hang = true }) // and nobody has noticed
		pass(100 * time.Second)
		if all[2].id != "" {
			t.Error("it was certified")
		}
		all[0].set(func(s *fake) { s.hang = false })
		pass(10 * time.Second)
		if fit(f) != "yyy" {
			t.Errorf("%s: %v", fit(f), f.Missing())
		}
	})
}

// TestSortsErrors: what the recipe is told of each kind of failure, and what is remembered.
func TestSortsErrors(t *testing.T) {
	run(t, func(t *testing.T) {
		all := servers(3)
		f := open(t, config(all, nil))
		m := f.members[0]
		for _, row := range []struct {
			err   error
			kinds []error
			fit   bool
		}{
			{node.ErrNoAnswer, []error{driver.ErrUnavailable}, false},
			{errors.New("broken"), []error{driver.ErrUnavailable}, false},
			{errors.New("UNFIT x"), []error{driver.ErrUnavailable, driver.ErrRefused}, false},
			{&node.BootError{}, []error{driver.ErrUnavailable, wire.ErrNotSent}, false},
			{node.ErrNotSent, []error{driver.ErrUnavailable, wire.ErrNotSent}, false},
			{fmt.Errorf("%w: %w", node.ErrNotSent, node.ErrFull), []error{driver.ErrUnavailable, wire.ErrNotSent}, true}, // the client is, not the node
			{node.ErrClosed, []error{driver.ErrUnavailable, wire.ErrNotSent}, true},
			{reply("NOPERM no"), []error{driver.ErrRefused}, true},
			{reply("OOM full"), []error{driver.ErrUnavailable, driver.ErrRefused}, true},
			{reply("HALFWAY what"), []error{driver.ErrUnavailable}, true},
		} {
			got := m.failed(context.Background(), m.state.Load(), row.err)
			if !is(got, row.kinds...) || (m.Fit() == nil) != row.fit {
				t.Errorf("%v: %v, then %v", row.err, got, m.Fit())
			}
			pass(10 * time.Second)
			if m.Fit() != nil {
				t.Fatal(m.Fit())
			}
		}
		// A server that refuses each request is not looked at for each.
		before := all[0].looks()
		for range 1000 {
			_ = m.failed(context.Background(), m.state.Load(), reply("OOM full"))
			pass(time.Millisecond)
		}
		if n := all[0].looks() - before; n < 5 || n > 12 || m.Fit() != nil {
			t.Errorf("a full server was looked at %d times in a second: %v", n, m.Fit())
		}
		// Whoever has given up says nothing of the node.
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if got := m.failed(ctx, m.state.Load(), node.ErrNotSent); !is(got, driver.ErrUnavailable, wire.ErrNotSent) || m.Fit() != nil {
			t.Errorf("%v, then %v", got, m.Fit())
		}
		m.Send(ctx, wire.Look{}, time.Second, func(_ any, err error) {
			if !is(err, driver.ErrUnavailable, wire.ErrNotSent) {
				t.Error(err)
			}
		})
		// A failure of a request that is older than the last look is no news.
		if got := m.failed(context.Background(), &state{}, node.ErrNoAnswer); got == nil || m.Fit() != nil {
			t.Error(got, m.Fit())
		}
	})
}

type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

// TestNotices: they come with the position of the node, which is the same for all clients.
func TestNotices(t *testing.T) {
	run(t, func(t *testing.T) {
		all := servers(3)
		var got notices
		c := config(all, nil)
		c.Notify = got.take
		f := open(t, c)
		all[0].take[0]("free me 7") // nobody knows the position yet
		nodes := f.Nodes()
		turned := []*fake{all[2], all[0], all[1]}
		others := open(t, config(turned, nil)).Nodes()
		for i := range nodes {
			if nodes[i].(*Member).ask.server != others[i].(*Member).ask.server {
				t.Error("two clients have the nodes in another order")
			}
		}
		for i, n := range nodes {
			s := n.(*Member).ask.server.(*fake)
			s.take[0](fmt.Sprintf("free me %d", i+7))
			s.take[0]("what")
			s.again[0]()
			if want := fmt.Sprint(i, wire.Notice{Kind: wire.Free, AttemptID: "me", Count: uint64(i + 7)}); got.got[2*i] != want || got.got[2*i+1] != fmt.Sprint(i, wire.Notice{Kind: wire.NoticesLost}) {
				t.Errorf("%q, want %q", got.got[2*i:], want)
			}
		}
	})
}
