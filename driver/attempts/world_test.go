package attempts

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var (
	seeds = flag.Uint64("seeds", 0, "how many seeds; 300 if 0, 100 with -short")
	first = flag.Uint64("first", 1, "the first of them")
)

const ttl = 10 * time.Second

// world is a client with a toy backend on a Ledger, its core, a network and a server. What happens next is drawn:
// requests and answers come late, in any order, or never.
//
// The server keeps a queue of claims for each key. A client's claims belong to its session, and end with it. A
// request that makes a claim carries an epoch, and makes nothing once the server has a later one; with that
// a release keeps out the requests of its attempt that may be late.
type world struct {
	*model
	rnd *rand.Rand
	now time.Time

	cores          []*core
	calls          []*call
	net            []*exchange
	session, epoch int // as the backend knows them

	server struct {
		session, epoch, numbers int
		queues                  map[string][]claim
	}
}

func newWorld(seed uint64, b book) *world {
	w := &world{model: &model{book: b}, rnd: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(0, 0), session: 1}
	w.server.session, w.server.queues = 1, make(map[string][]claim)
	for i, id := range []ID{{"k", "a"}, {"l", "a"}, {"m", "a"}, {"k", "b"}, {"l", "c"}} {
		w.cores = append(w.cores, &core{id: id, wait: i != 3})
	}
	return w
}

// step lets one thing happen.
func (w *world) step() string {
	c := w.cores[w.rnd.IntN(len(w.cores))]
	key := c.id.Key
	switch n := w.rnd.IntN(100); {
	case n < 14:
		if w.callsOf(c) < 2 && c.grant == nil || w.rnd.IntN(10) == 0 && c.retry {
			w.ask(c)
			return fmt.Sprint("ask ", c.id)
		}
	case n < 19:
		if c.asked && !c.released || w.rnd.IntN(50) == 0 {
			w.letGo(c)
			return fmt.Sprint("release ", c.id)
		}
	case n < 30:
		if c.grant != nil && c.releases == 0 {
			w.renew(c)
			return fmt.Sprint("renew ", c.id)
		}
	case n < 65:
		if len(w.net) > 0 {
			x := w.net[w.rnd.IntN(len(w.net))]
			w.move(x, w.rnd.IntN(8))
			return fmt.Sprint("net ", x.makes)
		}
	case n < 85:
		if len(w.calls) > 0 {
			k := w.calls[w.rnd.IntN(len(w.calls))]
			w.goOn(k)
			return fmt.Sprint("call ", k.a)
		}
	case n < 87:
		w.evict(key)
		return "evict " + key
	case n < 88:
		w.endSession()
		return "session ends"
	case n < 90:
		w.other(key)
		return "others " + key
	case n < 95:
		w.now = w.now.Add(time.Duration(w.rnd.IntN(int(2 * ttl))))
		return fmt.Sprint("now ", w.now.Unix())
	default:
		w.sweep()
		return "sweep"
	}
	return ""
}

func (w *world) callsOf(c *core) (n int) {
	for _, k := range w.calls {
		if k.core == c {
			n++
		}
	}
	return n
}

// goOn lets a call take its next step, or its caller cancel it.
func (w *world) goOn(k *call) {
	switch {
	case w.rnd.IntN(6) == 0:
		w.cancel(k)
	case k.request != nil: // there is no answer yet
	case k.number > 0:
		w.handOut(k)
	default:
		w.create(k)
	}
}

// settle ends everything, and then looks at what is left.
func (w *world) settle() {
	for range 100 {
		for len(w.net) > 0 {
			w.move(w.net[0], 2)
		}
		for len(w.calls) > 0 {
			w.cancel(w.calls[0])
			for len(w.net) > 0 {
				w.move(w.net[0], 2)
			}
		}
		for _, c := range w.cores {
			if c.asked && !c.released {
				w.letGo(c)
			}
		}
		w.now = w.now.Add(10 * ttl)
		w.sweep()
		if len(w.net) == 0 && !slices.ContainsFunc(w.cores, func(c *core) bool { return c.asked && !c.released }) {
			break
		}
	}
	for a := range w.All() {
		wrong(nothingLeft, "%v is in the ledger, in phase %d", a, a.Phase())
	}
	outcasts := 0
	for _, c := range w.cores {
		if w.outcast(c.id) {
			outcasts++
		}
	}
	if entries, tombstones := w.sizes(); entries > 0 || tombstones != outcasts {
		wrong(nothingLeft, "the ledger has %d entries and %d tombstones, want 0 and %d", entries, tombstones, outcasts)
	}
	for key, queue := range w.server.queues {
		for _, c := range queue {
			if !c.others {
				wrong(mayBeLate, "a claim of %v is left in %s", c.id, key)
			}
		}
	}
}

// run is one random run. Its trace is of the last steps.
func (w *world) run(steps int) (b broken, trace []string) {
	b = caught(func() {
		for range steps {
			trace = append(trace, "")
			trace[len(trace)-1] = w.step()
		}
		trace = append(trace, "settle")
		w.settle()
	})
	trace = slices.DeleteFunc(trace, func(s string) bool { return s == "" })
	return b, trace[max(len(trace)-30, 0):]
}

// TestLedgerInAWorld has a toy backend use the ledger on a bad network.
func TestLedgerInAWorld(t *testing.T) {
	n := *seeds
	switch {
	case n > 0:
	case testing.Short():
		n = 100
	default:
		n = 300
	}
	kinds := make(map[string]int)
	for seed := *first; seed < *first+n; seed++ {
		w := newWorld(seed, new(Ledger[*toy]))
		if b, trace := w.run(150); b.rule != "" {
			t.Fatalf("%s: %s\n%q\nrepeat with: go test ./driver/attempts -run InAWorld -first %d -seeds 1", b.rule, b.how, trace, seed)
		}
		for _, e := range w.log {
			kinds[e.what]++
		}
		kinds["told"] += len(w.told)
	}
	t.Logf("%d runs: %v", n, kinds)
	for _, kind := range []string{"enter", "leave", "grant", "extend", "release", "end", "gone", "late", "told"} {
		if kinds[kind] < int(n)/10 {
			t.Errorf("there were %d of %q in %d runs: the world is too quiet", kinds[kind], kind, n)
		}
	}
}
