package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/model"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/recipe"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/script"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

// longestTTL is that of the list.
const longestTTL = 2 * time.Second

// mode is what goes wrong in a world.
type mode int

const (
	faultless mode = iota // nothing
	lossy                 // packets are lost, and late; links are cut
	restart               // and nodes are restarted, by the rules, and replaced
	vanish                // and keys vanish at any moment, and clocks jump: exclusion is not promised then
	modes
)

// world is one run: nodes, clients with the real recipe, and what goes wrong, all from one seed. Time is that of
// a testing/synctest bubble.
//
// A seed decides what goes wrong, and when. Which of several goroutines that are ready at the same instant goes
// first is the runtime's choice; so a seed that is run again mostly, and not always, gives the same run.
type world struct {
	seed     uint64
	mode     mode
	mutation mutation
	out      io.Writer // for the trace; nil: nobody looks
	began    time.Time

	mu      sync.Mutex
	rng     *rand.Rand
	hosts   []*host
	clients []*client
	keys    []string
	history history
	sum     tally
	over    bool // the faults are
	quiet   bool // nobody asks for anything new

	loss, late float64
	noFloors   bool    // clients give no hint of what others have been granted, so that counters differ
	skill      float64 // how often a key vanishes just when that hurts
}

func newWorld(seed uint64, m mode, mutation mutation, out io.Writer) *world {
	w := &world{seed: seed, mode: m, mutation: mutation, out: out, began: time.Now(), rng: rand.New(rand.NewPCG(seed, 1))}
	w.history = history{w: w, keys: map[string]*keyHistory{}, attempts: map[string]*attemptHistory{}}
	w.loss, w.late = 0.1*w.rng.Float64(), 0.15*w.rng.Float64()
	if w.rng.IntN(4) == 0 {
		w.loss = 0
	}
	w.skill = w.rng.Float64()
	w.noFloors = m >= restart && w.rng.IntN(2) == 0
	n := 1
	if m != vanish && w.rng.IntN(3) == 0 {
		n = 2
	}
	for i := range n {
		w.keys = append(w.keys, fmt.Sprintf("%s%d", theKey, i))
	}
	for n := range []int{3, 3, 5}[w.rng.IntN(3)] {
		h := &host{w: w, n: n, node: model.New(), up: true, certified: true, rate: 0.008 * (2*w.rng.Float64() - 1)}
		for _, key := range w.keys {
			h.node.Counters[script.Shard(key)] = 1 + w.rng.Uint64N(4)
		}
		w.hosts = append(w.hosts, h)
	}
	for i := range 2 + w.rng.IntN(3) {
		w.clients = append(w.clients, w.newClient(fmt.Sprintf("c%d", i)))
	}
	return w
}

func (w *world) newClient(name string) *client {
	c := &client{w: w, name: name}
	var nodes []wire.Node
	for _, h := range w.hosts {
		l := &link{w: w, client: c, host: h}
		c.links = append(c.links, l)
		nodes = append(nodes, l)
	}
	c.backend = recipe.New(recipe.Config{
		Nodes: nodes, Channel: name,
		Info: driver.Info{Name: "redlock", Guarantee: driver.FencedOrder, MinTTL: 100 * time.Millisecond, MaxTTL: time.Hour},
		Trip: func() time.Duration { return 600 * time.Microsecond },
		Rand: func(most time.Duration) time.Duration { return w.draw(0, most-1) },
	})
	return c
}

// run is the whole of it. It returns what is wrong, or "".
func (w *world) run() string {
	var workers sync.WaitGroup
	for _, c := range w.clients {
		for i := range 1 + w.pick(2) {
			workers.Go(func() { c.work(i) })
		}
	}
	workers.Go(w.list)
	stop := make(chan struct{})
	var faults sync.WaitGroup
	if w.mode != faultless {
		faults.Go(func() { w.injectFaults(stop) })
	}
	time.Sleep(w.draw(3*time.Second, 12*time.Second))
	close(stop)
	faults.Wait()
	w.heal()

	// From now on all goes well, so each waiter gets its turn, and each worker comes to an end.
	done := make(chan struct{})
	go func() {
		workers.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Minute):
		w.mu.Lock()
		w.history.fail("10 min after the last fault, somebody still waits")
		w.mu.Unlock()
	}
	time.Sleep(15 * time.Second) // what was late has come
	w.mu.Lock()
	w.history.left()
	w.mu.Unlock()
	for _, c := range w.clients {
		_ = c.backend.Close()
	}
	<-done
	w.sum.seeds, w.sum.modes[w.mode] = 1, 1
	return w.history.failure
}

// injectFaults has things go wrong until stop is closed.
func (w *world) injectFaults(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(w.draw(0, 8*time.Millisecond)):
		}
		w.mu.Lock()
		h := w.hosts[w.rng.IntN(len(w.hosts))]
		key := w.keys[w.rng.IntN(len(w.keys))]
		if shard := script.Shard(key); w.mode == vanish && w.rng.IntN(10) == 0 { // by another key of its shard
			h.node.Raise(shard, h.node.Counters[shard]+w.rng.Uint64N(4))
		}
		switch w.mode {
		case vanish:
			switch n := w.rng.IntN(40); {
			case n < 20:
				if _, held := h.node.Claims[key]; held && w.chance(w.skill) {
					h.node.Vanish(key)
					w.sum.vanished++
					w.trace("%q vanishes from node %d", key, h.n)
				}
			case n == 20:
				h.node.Skew = time.Duration(w.rng.Int64N(int64(4*time.Second))) - 2*time.Second
				w.sum.jumps++
			}
			fallthrough
		case restart:
			if w.rng.IntN(60) == 0 {
				h.old = h.node.Snapshot()
			}
			if w.rng.IntN(150) == 0 && h.mayFail() {
				h.restart(restartKind(w.rng.IntN(4)))
			}
			fallthrough
		case lossy:
			if w.rng.IntN(100) == 0 {
				l := w.clients[w.rng.IntN(len(w.clients))].links[h.n]
				l.cut = !l.cut
			}
			if w.rng.IntN(120) == 0 {
				w.isolate(h)
			}
		}
		c := w.clients[w.rng.IntN(len(w.clients))]
		evict := w.mode >= restart && w.rng.IntN(120) == 0
		w.mu.Unlock()
		if evict {
			c.evict(key)
		}
	}
}

// vanishSoon has a key vanish just when that hurts: within the try that has taken it. Called with the mutex held.
func (w *world) vanishSoon(h *host, key string) {
	if w.mode != vanish || !w.faulty() || !w.chance(w.skill/3) {
		return
	}
	time.AfterFunc(w.between(0, 2*time.Millisecond), func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if _, held := h.node.Claims[key]; held {
			h.node.Vanish(key)
			w.sum.vanished++
			w.trace("%q vanishes from node %d", key, h.n)
		}
	})
}

// heal ends the faults: nodes that abstain come back by themselves.
func (w *world) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	for _, c := range w.clients {
		for _, l := range c.links {
			l.cut = false
		}
	}
	time.AfterFunc(6*time.Second, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.quiet = true
	})
}

// faulty reports whether things go wrong now.
func (w *world) faulty() bool { return !w.over }

func (w *world) chance(p float64) bool { return w.rng.Float64() < p }

// trip is how long a packet takes.
func (w *world) trip() time.Duration {
	return w.between(100*time.Microsecond, 500*time.Microsecond)
}

func (w *world) between(least, most time.Duration) time.Duration {
	return least + time.Duration(w.rng.Int64N(int64(most-least)+1))
}

// pick and draw are for those who do not have the mutex.
func (w *world) pick(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(n)
}

func (w *world) draw(least, most time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.between(least, most)
}

func (w *world) trace(format string, args ...any) {
	if w.out != nil {
		fmt.Fprintf(w.out, "%12v "+format+"\n", append([]any{time.Since(w.began)}, args...)...)
	}
}
