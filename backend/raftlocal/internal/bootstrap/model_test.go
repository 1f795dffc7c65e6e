package bootstrap

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

// The model has all runs of three initial members, with so many losses of a directory and crashes, in
// every order, with questions and answers that are late as long as the connection lives. It goes
// through all its states, and has the very Bootstrapper decide.

var names = []string{"a", "b", "c"}

// place is where a member runs: a name and an address.
type place struct {
	made  uint64 // how many directories it has had
	up    bool
	bound *Record // on the disk, as are made and begun
	begun *Record
	f     *Bootstrapper // in memory; nil if it is down, has begun, or has been refused
}

func (p *place) id(i int) uint64 { return 10*uint64(i+1) + p.made }

// message is on its way, on a connection that breaks when the receiver ends.
type message struct {
	from, to int
	question bool
	standing Standing
}

type state struct {
	places         [3]place
	flying         []message
	wipes, crashes int
	all            []*Record // that anybody has ever begun with
}

// hash is quick, since the ids of the model are small.
func hash(r Record) (h uint64) {
	for _, m := range r.Members {
		h = h<<8 | m.ID
	}
	return h<<8 | r.TokenBase
}

func (s *state) clone() *state {
	c := *s
	c.flying, c.all = slices.Clone(s.flying), slices.Clone(s.all)
	for i := range c.places {
		if f := c.places[i].f; f != nil {
			copied := *f
			copied.heard = maps.Clone(f.heard)
			c.places[i].f = &copied
		}
	}
	return &c
}

// key tells states apart.
func (s *state) key() string {
	b := make([]byte, 0, 256)
	number := func(n uint64) { b = binary.AppendUvarint(b, n) }
	record := func(r *Record) {
		if r == nil {
			number(0)
			return
		}
		number(hash(*r))
	}
	flag := func(is bool) { b = append(b, map[bool]byte{true: 1}[is]) }
	standing := func(st Standing) {
		number(st.ID)
		number(st.Bound)
		number(st.BootstrapHash)
	}
	for i := range s.places {
		p := &s.places[i]
		number(p.made)
		flag(p.up)
		record(p.bound)
		record(p.begun)
		flag(p.f != nil)
		if p.f != nil {
			flag(p.f.begun)
			for _, name := range names {
				standing(p.f.heard[name])
			}
		}
	}
	at := len(b)
	var flying []string
	for _, m := range s.flying {
		b = append(b[:at], byte(m.from), byte(m.to))
		flag(m.question)
		standing(m.standing)
		flying = append(flying, string(b[at:]))
	}
	b = b[:at]
	slices.Sort(flying)
	for _, m := range flying {
		b = append(b, m...)
	}
	b = append(b, byte(len(flying)), byte(s.wipes), byte(s.crashes))
	for _, r := range s.all {
		record(r)
	}
	return string(b)
}

// dies is how an attempt to bind may end.
type dies int

const (
	not dies = iota
	before
	after
)

var errPower = errors.New("the power failed")

// start begins a life on what the disk holds. Whatever is done in it may bind, so that s.hear
// has to be told how that ends.
func (s *state) start(i int) {
	p := &s.places[i]
	p.up = true
	if p.begun != nil {
		return
	}
	cfg := Config{Self: statemachine.Member{ID: p.id(i), Name: names[i], Addr: names[i] + ":1"}, Terms: 7, Base: p.id(i), Bound: p.bound, Hash: hash}
	for j, name := range names {
		if j != i {
			cfg.Others = append(cfg.Others, statemachine.Member{Name: name, Addr: name + ":1"})
		}
	}
	p.f, _ = New(cfg)
}

func (s *state) standing(i int) Standing {
	p := &s.places[i]
	switch {
	case p.begun != nil:
		return Standing{ID: p.id(i), Name: names[i], Bootstrapped: true, BootstrapHash: hash(*p.begun)}
	case p.f != nil:
		return p.f.Standing()
	}
	return Standing{}
}

// hear lets one take something in. It reports whether it has lived on.
func (s *state) hear(i int, st Standing, ends dies) bool {
	p := &s.places[i]
	if p.f == nil {
		return true
	}
	p.f.cfg.Bind = func(r Record) error {
		if ends != before {
			p.bound = &r
		}
		if ends != not {
			return errPower
		}
		return nil
	}
	err := p.f.Hear(st)
	if errors.Is(err, errPower) {
		s.crash(i)
		return false
	}
	if err != nil {
		p.f = nil // its process says so and ends; whether it is started again makes no difference
		s.crash(i)
		return false
	}
	return true
}

func (s *state) crash(i int) {
	s.places[i].up, s.places[i].f = false, nil
	s.flying = slices.DeleteFunc(s.flying, func(m message) bool { return m.to == i })
}

func (s *state) begin(i int) bool {
	p := &s.places[i]
	if p.f == nil {
		return false
	}
	r, ok := p.f.Record()
	if !ok {
		return false
	}
	p.begun, p.f = &r, nil
	if !slices.ContainsFunc(s.all, func(o *Record) bool { return hash(*o) == hash(r) }) {
		s.all = append(s.all, &r)
	}
	return true
}

// check wants two records that were begun to have no directory in common.
func (s *state) check() error {
	for i, r := range s.all {
		for _, o := range s.all[:i] {
			for _, m := range r.Members {
				if slices.Contains(o.Members, m) {
					return fmt.Errorf("begun: %v and %v", *o, *r)
				}
			}
		}
	}
	// And so no two majorities, unless all directories of one are lost: said once more by what counts.
	for i, r := range s.all {
		for _, o := range s.all[:i] {
			if s.living(o) > 0 && s.living(r) > 0 {
				return fmt.Errorf("both have directories that live: %v and %v", *o, *r)
			}
		}
	}
	for i := range s.places {
		if r := s.places[i].begun; r != nil && !slices.ContainsFunc(r.Members, func(m statemachine.Member) bool { return m.ID == s.places[i].id(i) }) {
			return fmt.Errorf("%s has begun with a record without it: %v", names[i], *r)
		}
	}
	return nil
}

// living counts the directories of a record that are there.
func (s *state) living(r *Record) (n int) {
	for i := range s.places {
		if slices.ContainsFunc(r.Members, func(m statemachine.Member) bool { return m.ID == s.places[i].id(i) }) {
			n++
		}
	}
	return n
}

// bounds are how much may happen in a run.
type bounds struct{ wipes, crashes, flying int }

// next gives all steps that may follow. Each is to be taken on a clone.
func (s *state) next(most bounds, step func(what string, take func(c *state))) {
	for i := range names {
		p := &s.places[i]
		switch {
		case !p.up:
			step("start "+names[i], func(c *state) { c.start(i) })
		case s.crashes < most.crashes:
			step("crash "+names[i], func(c *state) { c.crashes++; c.crash(i) })
		}
		if s.wipes < most.wipes {
			step("wipe "+names[i], func(c *state) {
				c.wipes++
				c.crash(i)
				c.places[i] = place{made: c.places[i].made + 1}
			})
		}
		if p.f != nil {
			if _, ready := p.f.Record(); ready {
				step(names[i]+" begins", func(c *state) { c.begin(i) })
			}
		}
		for j := range names {
			if i == j || p.f == nil || len(s.flying) >= most.flying {
				continue
			}
			step(names[i]+" asks "+names[j], func(c *state) {
				if !c.places[j].up {
					c.places[i].f.Missed(names[j])
					return
				}
				c.flying = append(c.flying, message{i, j, true, c.standing(i)})
			})
		}
	}
	for k, m := range s.flying {
		for _, ends := range []dies{not, before, after} {
			if ends != not && s.crashes >= most.crashes {
				continue
			}
			step(fmt.Sprint("deliver ", m, ends), func(c *state) {
				c.flying = slices.Delete(c.flying, k, k+1)
				if ends != not {
					c.crashes++
				}
				if !c.hear(m.to, m.standing, ends) || !m.question {
					return
				}
				// The answer has a connection as long as the asker lives, which flying takes care of.
				if answer := c.standing(m.to); answer.ID != 0 && c.places[m.from].f != nil {
					c.flying = append(c.flying, message{m.to, m.from, false, answer})
				}
			})
		}
	}
}

// settle lets all be well: everybody is started and asks everybody, until nothing changes.
func (s *state) settle() *state {
	c := s.clone()
	c.flying = nil
	for range 12 {
		for i := range names {
			if !c.places[i].up {
				c.start(i)
			}
		}
		for i := range names {
			for j := range names {
				if i != j && c.places[i].f != nil && c.places[j].up {
					if st := c.standing(i); c.hear(j, st, not) {
						if answer := c.standing(j); answer.ID != 0 {
							c.hear(i, answer, not)
						}
					}
				}
			}
			c.begin(i)
		}
	}
	return c
}

// checkEnd wants that it has come right, or that it is known why not.
func (s *state) checkEnd() error {
	if *safety {
		return nil
	}
	c := s.settle()
	if err := c.check(); err != nil {
		return err
	}
	begun, refused := 0, 0
	for i := range c.places {
		switch p := &c.places[i]; {
		case p.begun != nil:
			begun++
		case p.f == nil:
			refused++
		case p.f.Stuck() == nil:
			return fmt.Errorf("%s waits for ever, and does not say why", names[i])
		}
	}
	switch {
	case s.wipes == 0 && begun != 3:
		return fmt.Errorf("no directory was lost, and only %d begin", begun)
	case s.wipes == 1 && begun == 1:
		return errors.New("one directory was lost, and one of the others does not begin")
	case begun == 0 && refused > 0:
		return errors.New("somebody is refused, and nobody has begun")
	}
	return nil
}

var (
	whole  = flag.Bool("whole", false, "all states with a loss and a crash, and with two losses, too; it takes minutes")
	safety = flag.Bool("safety", false, "only look whether two have begun that must not, and not whether all comes right in the end")
)

// TestModel goes through all states.
func TestModel(t *testing.T) {
	all := []bounds{{0, 1, 1}}
	if !raced { // it finds nothing more in one thread
		all = append(all, bounds{1, 0, 1})
	}
	if *whole {
		all = append(all, bounds{1, 1, 1}, bounds{2, 0, 1})
	}
	for _, most := range all {
		t.Run(fmt.Sprintf("%+v", most), func(t *testing.T) { explore(t, most) })
	}
}

func newState() *state {
	s := &state{}
	for i := range names {
		s.places[i].made = 1
		s.start(i)
	}
	return s
}

func explore(t *testing.T, most bounds) {
	t.Helper()
	type way struct{ before, what string }
	first := newState()
	ways := map[string]way{first.key(): {}}
	queue := []*state{first}
	begun := 0
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		key := s.key()
		err := s.check()
		if err == nil {
			err = s.checkEnd()
		}
		if err != nil {
			var how []string
			for at := key; ways[at].what != ""; at = ways[at].before {
				how = append(how, ways[at].what)
			}
			slices.Reverse(how)
			t.Fatalf("%v, after:\n%s", err, strings.Join(how, "\n"))
		}
		if len(s.all) > 0 {
			begun++
		}
		s.next(most, func(what string, take func(*state)) {
			n := s.clone()
			take(n)
			if k := n.key(); ways[k].what == "" && k != key {
				ways[k] = way{key, what}
				queue = append(queue, n)
			}
		})
	}
	t.Logf("%d states, in %d of them somebody has begun", len(ways), begun)
	if begun == 0 {
		t.Error("nobody ever begins")
	}
}

var (
	walks = flag.Int("walks", 0, "how many random runs; 2000 if 0, and 200 with the race detector")
	first = flag.Uint64("first", 1, "the seed of the first")
)

// TestWalks goes at random where there are too many states for all: with more losses, crashes and
// late messages.
func TestWalks(t *testing.T) {
	n := *walks
	switch {
	case n != 0:
	case raced:
		n = 200
	default:
		n = 2000
	}
	begun, twice := 0, 0
	for seed := *first; seed < *first+uint64(n); seed++ { //nolint:gosec // not negative
		r := rand.New(rand.NewPCG(seed, 1))
		s := newState()
		var how []string
		most := bounds{r.IntN(4), r.IntN(4), 1 + r.IntN(4)}
		for range 80 {
			var takes []func(*state)
			var whats []string
			s.next(most, func(what string, take func(*state)) {
				takes, whats = append(takes, take), append(whats, what)
			})
			if len(takes) == 0 {
				break
			}
			n := r.IntN(len(takes))
			how = append(how, whats[n])
			takes[n](s)
			err := s.check()
			if err == nil {
				err = s.checkEnd()
			}
			if err != nil {
				t.Fatalf("seed %d: %v, after:\n%s\nreplay with -walks 1 -first %d", seed, err, strings.Join(how, "\n"), seed)
			}
		}
		if len(s.all) > 0 {
			begun++
		}
		if len(s.all) > 1 {
			twice++
		}
	}
	t.Logf("in %d of %d runs somebody has begun, in %d of them again after all was lost", begun, n, twice)
	if n >= 200 && begun < n/10 {
		t.Error("these runs prove nothing: hardly anybody begins")
	}
}
