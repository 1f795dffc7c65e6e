package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// listed are servers that are in a list, with counters of different heights.
func listed(t *testing.T, n int, weak string) []*fake {
	t.Helper()
	all := servers(n)
	for i, s := range all {
		s.weak = weak
		s.counters["5"] = uint64(100 + i)
	}
	c := config(all, nil)
	c.TTL = 10 * time.Second
	open(t, c).Close()
	for _, s := range all {
		s.closed = false
	}
	return all
}

// named is the configuration of servers by which they keep their names.
func named(all []*fake, which ...int) Config {
	c := config(all, nil)
	d := c
	d.Names, d.Servers = nil, nil
	for _, i := range which {
		d.Names, d.Servers = append(d.Names, c.Names[i]), append(d.Servers, c.Servers[i])
	}
	return d
}

func replace(t *testing.T, c Config) (said string, err error) {
	t.Helper()
	err = Replace(t.Context(), c, func(text string) { said += text + "\n" })
	return said, err
}

// TestReplace puts a new node in, while a client works.
func TestReplace(t *testing.T) {
	run(t, func(t *testing.T) {
		all := append(listed(t, 3, ""), newFake(4))
		before := open(t, named(all, 0, 1, 2))
		all[2].set(func(s *fake) { s.down = errDown })
		began := time.Now()
		said, err := replace(t, named(all, 0, 1, 3))
		if err != nil || !strings.Contains(said, "h4:1 instead of h3:1") || !strings.Contains(said, "h4:1 is in the list, and votes") {
			t.Errorf("%v: %s", err, said)
		}
		if took := time.Since(began); took < 10*time.Second || took > 11*time.Second {
			t.Errorf("it took %v", took)
		}
		if n := all[3].counters["5"]; n != 101 {
			t.Errorf("the counter of the new node is %d, want that of the highest that stays", n)
		}
		after := open(t, named(all, 0, 1, 3))
		if fit(after) != "yyy" || after.List().Version != 2 {
			t.Errorf("%s of %v: %v", fit(after), after.List(), after.Missing())
		}
		for i := range 3 {
			if err := send(after, i); err != nil {
				t.Error(err)
			}
		}
		_, _ = send(before, 0), send(before, 1) // they are told of the new version
		pass(2 * time.Second)
		if fit(before) != "yyn" {
			t.Errorf("%s: %v", fit(before), before.Missing())
		}
		all[2].set(func(s *fake) { s.down = nil })
		pass(5 * time.Second)
		if err := before.members[2].Fit(); fit(before) != "yyn" || !strings.Contains(err.Error(), "no part of the list any more") {
			t.Errorf("%s: %v", fit(before), err)
		}
		if said, err := replace(t, named(all, 0, 1, 3)); err != nil || !strings.Contains(said, "nothing to do") {
			t.Errorf("once more: %v: %s", err, said)
		}
	})
}

// failing has servers answer no more after so many requests, of all together.
type failing struct {
	mu   sync.Mutex
	left int
}

func (f *failing) take() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left == 0 {
		return errDown
	}
	f.left--
	return nil
}

// TestReplaceInterrupted stops a replacement after each of its requests, and runs it again, for the same
// new node, for one that was emptied meanwhile, and for another one.
func TestReplaceInterrupted(t *testing.T) {
	for _, then := range []string{"the same", "emptied", "another"} {
		t.Run(then, func(t *testing.T) {
			for stop, again := 1, true; again; stop++ {
				run(t, func(t *testing.T) {
					all := append(listed(t, 5, ""), newFake(6), newFake(7), newFake(8), newFake(9))
					f := &failing{left: stop}
					for _, s := range all {
						s.failing = f
					}
					_, err := replace(t, named(all, 0, 1, 2, 5, 6))
					again = err != nil
					for _, s := range all {
						s.failing = nil
					}
					// A client that works with the old list goes on with the nodes that stay.
					old := open(t, named(all, 0, 1, 2, 3, 4))
					if n := strings.Count(fit(old)[:3], "y"); n < 3 && again && n+strings.Count(fit(old)[3:], "y") < 3 {
						pass(2 * time.Second)
					}
					all[1].set(func(s *fake) { s.counters["5"] += 10 })
					which := []int{0, 1, 2, 5, 6}
					switch then {
					case "emptied":
						all[5].restart(true)
					case "another":
						which = []int{0, 1, 2, 6, 7}
					}
					slices.Reverse(which) // the first node was the first to be moved
					var newest *List
					for _, s := range all {
						if l, _ := parseList(s.list); l != nil && (newest == nil || l.Version > newest.Version) {
							newest = l
						}
					}
					began := time.Now()
					said, err := replace(t, named(all, which...))
					if err != nil {
						t.Fatalf("stopped after %d requests: %v: %s", stop, err, said)
					}
					if !strings.Contains(said, "nothing to do") && time.Since(began) < 10*time.Second {
						t.Errorf("stopped after %d requests: it did not wait: %s", stop, said)
					}
					after := open(t, named(all, which...))
					pass(2 * time.Second)
					if fit(after) != "yyyyy" {
						t.Errorf("stopped after %d requests: %s: %v", stop, fit(after), after.Missing())
					}
					if l := after.List(); l.text != newest.text && l.Version <= newest.Version {
						t.Errorf("stopped after %d requests: %v comes after %v", stop, l, newest)
					}
					for _, i := range which[:2] {
						// One that was let in by the first run has what was the highest then.
						if n := all[i].counters["5"]; n < 102 {
							t.Errorf("stopped after %d requests: the counter of node %d is %d", stop, i+1, n)
						}
					}
					for i, s := range all {
						if n := len(s.cert); i > 6 && then != "another" && n > 0 {
							t.Errorf("node %d is in a list", i+1)
						}
					}
				})
			}
		})
	}
}

// TestTwoOperators: both do the same at the same time, or replace different nodes.
func TestTwoOperators(t *testing.T) {
	for _, second := range [][]int{{0, 1, 2, 3, 5}, {0, 1, 2, 3, 6}, {0, 1, 2, 4, 6}} {
		run(t, func(t *testing.T) {
			all := append(listed(t, 5, ""), newFake(6), newFake(7))
			first := []int{0, 1, 2, 3, 5}
			var both sync.WaitGroup
			for i, which := range [][]int{first, second} {
				both.Go(func() {
					time.Sleep(time.Duration(i) * 2500 * time.Microsecond)
					said, err := replace(t, named(all, which...))
					t.Log(which, err, said)
					if fmt.Sprint(which) == fmt.Sprint(second) && fmt.Sprint(first) == fmt.Sprint(second) && err != nil {
						t.Error(err)
					}
				})
			}
			both.Wait()
			// Whoever runs it last wins, and all are in one list then.
			last := second
			if last[3] == 4 {
				last = first // h5 has been replaced by then, and does not come back
			}
			if said, err := replace(t, named(all, last...)); err != nil {
				t.Fatalf("%v: %s", err, said)
			}
			f := open(t, named(all, last...))
			pass(2 * time.Second)
			if fit(f) != "yyyyy" {
				t.Errorf("%s: %v", fit(f), f.Missing())
			}
		})
	}
}

// TestReplaceRefuses: what must not be done, and is not begun.
func TestReplaceRefuses(t *testing.T) {
	run(t, func(t *testing.T) {
		all := append(listed(t, 5, ""), servers(4)...)
		for i := range 4 {
			all[5+i].run = fmt.Sprint("new", i)
		}
		others := listed(t, 3, "")
		for i, s := range others {
			s.run = fmt.Sprint("other", i)
		}
		all = append(all, others...) // 9, 10, 11
		for _, row := range []struct {
			which []int
			says  string
			kind  error
			spoil func(s *fake) // the last of them
		}{
			{which: []int{0, 1, 5, 6, 7}, says: "2 of the 5 nodes of the list", kind: driver.ErrRefused},
			{which: []int{5, 6, 7}, says: "no node that the URL names is in a list", kind: driver.ErrRefused},
			{which: []int{0, 1, 2}, says: "the list has 5 nodes", kind: driver.ErrInvalid},
			{which: []int{0, 1, 2, 3, 4, 5, 6}, says: "the list has 5 nodes", kind: driver.ErrInvalid},
			{which: []int{0, 1, 2, 3, 9}, says: "another list", kind: driver.ErrRefused},
			{which: []int{0, 1, 2, 3, 3}, says: "are the same server", kind: driver.ErrInvalid},
			{which: []int{0, 1, 2, 3, 5}, says: "h6:1: connection refused (each node", kind: driver.ErrUnavailable, spoil: func(s *fake) { s.down = errDown }},
			{which: []int{0, 1, 2, 3, 5}, says: "h6:1: a replica", kind: driver.ErrUnsupported, spoil: func(s *fake) {
				s.unusable = fmt.Errorf("%w: a replica", driver.ErrUnsupported)
			}},
			{which: []int{0, 1, 2, 3, 5}, says: "the list is fenced, and of h6:1 appendonly", kind: driver.ErrRefused, spoil: func(s *fake) { s.weak = "appendonly" }},
		} {
			last := all[row.which[len(row.which)-1]]
			if row.spoil != nil {
				last.set(row.spoil)
			}
			said, err := replace(t, named(all, row.which...))
			if !errors.Is(err, row.kind) || !strings.Contains(err.Error(), row.says) {
				t.Errorf("%v: %v, want %q: %s", row.which, err, row.says, said)
			}
			last.set(func(s *fake) { s.down, s.unusable, s.weak = nil, nil, "" })
			for i, s := range all {
				if i < 5 && !strings.Contains(s.list, `"version":1`) || i >= 5 && i < 9 && s.list+s.cert != "" {
					t.Fatalf("%v: node %d was changed", row.which, i+1)
				}
			}
		}
		// A node that was replaced does not come back with its data.
		if _, err := replace(t, named(all, 0, 1, 2, 3, 5)); err != nil {
			t.Fatal(err)
		}
		if said, err := replace(t, named(all, 0, 1, 2, 3, 4)); !errors.Is(err, driver.ErrRefused) || !strings.Contains(err.Error(), "h5:1 is no new node") {
			t.Errorf("%v: %s", err, said)
		}
		all[4].restart(true)
		if said, err := replace(t, named(all, 0, 1, 2, 3, 4)); err != nil {
			t.Errorf("%v: %s", err, said)
		}
	})
}

// TestReplaceAdvisory: a node that was restarted meanwhile does not get its vote by being moved.
func TestReplaceAdvisory(t *testing.T) {
	run(t, func(t *testing.T) {
		all := append(listed(t, 3, "it keeps nothing"), newFake(4))
		f := open(t, named(all, 0, 1, 3)) // it knows the new node before the command does
		all[1].restart(false)
		_ = send(f, 1)
		pass(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := Replace(ctx, named(all, 0, 1, 3), func(string) {}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		all[1].set(func(s *fake) {
			if fit(f) == "yyy" || s.cert == "" || strings.HasSuffix(s.cert, s.run) {
				t.Errorf("%s: %s", fit(f), s.cert)
			}
		})
		pass(15 * time.Second)
		if fit(f) != "yyy" {
			t.Errorf("%s: %v", fit(f), f.Missing())
		}
	})
}

// TestLook shows what an operator sees.
func TestLook(t *testing.T) {
	run(t, func(t *testing.T) {
		all := listed(t, 3, "")
		all[1].set(func(s *fake) { s.down = errDown })
		all[2].restart(true)
		s := Look(t.Context(), named(all, 0, 1, 2))
		if s.List != nil || len(s.Nodes) != 3 || s.Nodes[0].Version != 1 || s.Nodes[0].Identity != all[0].id {
			t.Errorf("%+v", s)
		}
		all[1].set(func(s *fake) { s.down = nil })
		s = Look(t.Context(), named(all, 0, 1, 2))
		if s.List == nil || s.Nodes[0].Err != nil || s.Nodes[1].Err != nil || s.Nodes[2].Err == nil || s.Nodes[2].Version != 0 || strings.Contains(s.Nodes[2].Err.Error(), driver.ErrRefused.Error()) {
			t.Errorf("%+v", s)
		}
	})
}
