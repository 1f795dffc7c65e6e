package attempts

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
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

// core is the caller of the backend for one attempt.
type core struct {
	id       ID
	wait     bool // otherwise it takes the lock only if it is free
	asked    bool
	retry    bool // a call has ended without an answer
	grant    *driver.Grant
	releases int  // calls of Release
	released bool // one of them was answered
}

// call is a call of Acquire.
type call struct {
	core    *core
	a       *toy
	made    int       // while it was not released
	request *exchange // nil if it waits
	number  int       // of the claim that is to be handed out
	start   time.Time
}

// exchange is a request and its answer.
type exchange struct {
	makes    *creation // what it may make; nil if it makes nothing
	serve    func() answer
	heard    func(answer answer, ok bool)
	answer   *answer
	timedOut bool
}

type creation struct {
	id             ID
	session, epoch int
}

type answer struct {
	number         int // of the claim
	first          bool
	refused        bool // the epoch or the session was another
	session, epoch int
}

type claim struct {
	id            ID
	number, epoch int
	others        bool // another client's
}

func newWorld(seed uint64, b book) *world {
	w := &world{model: &model{book: b}, rnd: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(0, 0), session: 1}
	w.server.session, w.server.queues = 1, make(map[string][]claim)
	for i, id := range []ID{{"k", "a"}, {"l", "a"}, {"m", "a"}, {"k", "b"}, {"l", "c"}} {
		w.cores = append(w.cores, &core{id: id, wait: i != 3})
	}
	return w
}

// The core.

func (w *world) ask(c *core) {
	// The core asks no more after a Release; but a call that was made before may come late. If none was under
	// way, and the attempt was held, there is no such call.
	if c.releases > 0 && !w.outcast(c.id) {
		return
	}
	a, err := w.enter(driver.Request{Key: c.id.Key, AttemptID: c.id.AttemptID, TTL: ttl, Retry: c.retry, Lost: func(error) {}})
	if c.releases > 0 && err == nil && w.underWay(a) == 1 {
		wrong(staysOut, "a call of %v begins", a)
	}
	c.asked = true
	if err == nil {
		k := &call{core: c, a: a, made: c.releases}
		w.calls = append(w.calls, k)
		w.create(k)
	}
}

func (w *world) letGo(c *core) {
	g := driver.Grant{Key: c.id.Key, AttemptID: c.id.AttemptID}
	if c.grant != nil && w.rnd.IntN(2) == 0 {
		g = *c.grant
	}
	a, late := w.release(g)
	c.releases++
	if !late {
		w.nothingComes(c.id)
	}
	switch {
	case a == nil:
		w.remove(c.id, 0, late, func(ok bool) { c.released = c.released || ok })
	case a.Phase() == Gone && !late:
		c.released = true
	default:
		a.deleting = true
		w.remove(c.id, a.number, late, func(ok bool) {
			if a.deleting = false; ok {
				c.released = true
				w.forget(a)
			}
		})
	}
}

// nothingComes checks, once Release has said that no request is late, that none is.
func (w *world) nothingComes(id ID) {
	for _, x := range w.net {
		if m := x.makes; m != nil && m.id == id && x.answer == nil && m.session == w.server.session && m.epoch == w.server.epoch {
			wrong(mayBeLate, "a request of %v is on its way", id)
		}
	}
	for _, k := range w.calls {
		if k.core.id == id && k.a.Phase() < Ending {
			wrong(mayBeLate, "a call of %v is under way", id)
		}
	}
}

func (w *world) renew(c *core) {
	a := c.grant.Handle.(*toy)
	if a.Phase() != Held {
		return
	}
	start, number := w.now, int(c.grant.Token)
	w.send(nil, func() answer {
		return answer{first: w.holds(c.id.Key, number)}
	}, func(ans answer, ok bool) {
		switch {
		case ok && ans.first:
			w.extend(a, start.Add(ttl))
		case ok:
			w.claimGone(a, number)
		}
	})
}

// The backend.

// create asks for the claim of a call's attempt, or again where it is in the queue.
func (w *world) create(k *call) {
	a := k.a
	if err := a.Err(); err != nil {
		w.done(k, err)
		return
	}
	if a.session == 0 {
		a.session = w.session
	}
	a.Sent = true
	a.asked++
	k.start = w.now
	makes := creation{a.ID, a.session, w.epoch}
	k.request = w.send(&makes, func() answer { return w.serveCreate(makes, k.core.wait) }, func(ans answer, ok bool) {
		k.request = nil
		a.asked--
		w.epoch = max(w.epoch, ans.epoch)
		if !ok {
			w.noteLate(a)
			w.done(k, driver.ErrUnavailable)
			return
		}
		a.number = max(a.number, ans.number) // answers of two calls may come in the other order
		a.Sent = a.asked > 0 || a.number > 0 || a.Late
		switch {
		case ans.session > w.session:
			w.sessionGone(ans.session)
			w.create(k) // finds that it is over
		case ans.refused:
			w.create(k)
		case ans.first:
			k.number = ans.number // handed out later
		case ans.number == 0: // another holds it, and nothing was made
			w.done(k, driver.ErrHeld)
		case !k.core.wait: // it came behind another
			w.end(a)
			w.done(k, driver.ErrHeld)
		}
	})
}

// handOut is the last step of Acquire.
func (w *world) handOut(k *call) {
	g, err := w.grant(k.a, fencing.Token(k.number), k.start, ttl)
	if err == nil && k.core.releases > 0 {
		wrong(staysOut, "%v is granted", k.a)
	}
	if err == nil {
		k.core.grant = &g
	} else if k.a.Phase() == Held {
		w.end(k.a) // it was granted a claim that is gone
	}
	w.done(k, err)
}

// cancel is the end of the caller's context.
func (w *world) cancel(k *call) {
	switch {
	case k.request != nil:
		k.request.timeOut()
	default:
		w.done(k, errors.New("cancelled"))
	}
}

func (w *world) done(k *call, err error) {
	w.calls = slices.DeleteFunc(w.calls, func(other *call) bool { return other == k })
	k.core.retry = k.core.retry || errors.Is(err, driver.ErrUnavailable) && k.a.Late
	w.leave(k.a, w.now.Add(2*ttl))
}

// claimGone is what the backend has learned of a claim. If a request is under way it is not certain that
// the attempt has none.
func (w *world) claimGone(a *toy, number int) {
	if a.number != number || a.Phase() == Gone || a.asked > 0 {
		return
	}
	held := a.Phase() == Held
	if told := w.forget(a); told && w.holds(a.Key, number) || held && !told {
		wrong(toldOnce, "the holder of %v, whose claim is there: %v, is told: %v", a, w.holds(a.Key, number), told)
	}
}

func (w *world) sessionGone(next int) {
	if next <= w.session {
		return
	}
	w.session = next
	for a := range w.All() {
		if a.session > 0 && a.session < next {
			w.forget(a)
		}
	}
	for _, a := range w.entries {
		if a.session > 0 && a.session < next && a.Phase() != Gone {
			wrong(allThere, "the loop that forgot others has missed %v", a)
		}
	}
}

// sweep ends what is overdue, and deletes what is ending.
func (w *world) sweep() {
	for a := range w.All() {
		if a.Overdue(w.now) {
			if slices.ContainsFunc(w.calls, func(k *call) bool { return k.a == a }) {
				wrong(overdue, "%v is overdue while a call is under way", a)
			}
			w.end(a)
		}
		if a.Phase() == Ending && !a.deleting {
			a.deleting = true
			w.remove(a.ID, a.number, a.Late || a.Calls() > 0, func(ok bool) {
				if a.deleting = false; ok {
					w.forget(a)
				}
			})
		}
	}
}

// remove deletes the claims of an attempt. If requests are late, it raises the epoch, which keeps them out.
func (w *world) remove(id ID, number int, late bool, heard func(ok bool)) {
	epoch := w.epoch
	w.send(nil, func() answer {
		if late {
			w.server.epoch = max(w.server.epoch, epoch) + 1
		}
		w.drop(id.Key, func(c claim) bool { return c.id == id && (c.number == number || late && c.epoch <= epoch) })
		return answer{epoch: w.server.epoch}
	}, func(ans answer, ok bool) {
		w.epoch = max(w.epoch, ans.epoch)
		heard(ok)
	})
}

// The network.

func (w *world) send(makes *creation, serve func() answer, heard func(answer, bool)) *exchange {
	x := &exchange{makes: makes, serve: serve, heard: heard}
	w.net = append(w.net, x)
	return x
}

func (x *exchange) timeOut() {
	if !x.timedOut {
		x.timedOut = true
		x.heard(answer{}, false)
	}
}

// move lets one thing happen to an exchange: it arrives, its answer does, one of them is lost, or whoever waits for it
// gives up. A request arrives once.
func (w *world) move(x *exchange, what int) {
	switch {
	case what == 0 && x.answer == nil: // the request is lost, which nobody notices
		x.answer, x.makes = &answer{}, nil
		x.timeOut()
	case what <= 1:
		x.timeOut()
	case x.answer == nil:
		ans := x.serve()
		x.answer = &ans
	case !x.timedOut:
		x.timedOut = true
		x.heard(*x.answer, true)
	}
	if x.answer != nil && x.timedOut {
		w.net = slices.DeleteFunc(w.net, func(other *exchange) bool { return other == x })
	}
}

// The server.

func (w *world) serveCreate(m creation, wait bool) answer {
	s := &w.server
	ans := answer{session: s.session, epoch: s.epoch}
	if m.session != s.session || m.epoch != s.epoch {
		ans.refused = true
		return ans
	}
	queue := s.queues[m.id.Key]
	i := slices.IndexFunc(queue, func(c claim) bool { return c.id == m.id })
	if i < 0 && (wait || len(queue) == 0 || w.rnd.IntN(3) == 0) {
		i = len(queue)
		s.numbers++
		queue = append(queue, claim{id: m.id, number: s.numbers, epoch: s.epoch})
		s.queues[m.id.Key] = queue
	}
	if i >= 0 {
		ans.number, ans.first = queue[i].number, i == 0
	}
	return ans
}

func (w *world) holds(key string, number int) bool {
	queue := w.server.queues[key]
	return len(queue) > 0 && queue[0].number == number
}

func (w *world) drop(key string, which func(claim) bool) (dropped []claim) {
	w.server.queues[key] = slices.DeleteFunc(w.server.queues[key], func(c claim) bool {
		if which(c) {
			dropped = append(dropped, c)
			return true
		}
		return false
	})
	return dropped
}

// evict is what an operator does; the client hears of it, in time or not.
func (w *world) evict(key string) {
	for _, c := range w.drop(key, func(c claim) bool { return w.holds(key, c.number) }) {
		if !c.others {
			w.send(nil, func() answer { return answer{} }, func(_ answer, ok bool) {
				if a := w.Find(c.id); ok && a != nil {
					w.claimGone(a, c.number)
				}
			})
		}
	}
}

func (w *world) endSession() {
	s := &w.server
	s.session++
	for key := range s.queues {
		w.drop(key, func(c claim) bool { return !c.others })
	}
	next := s.session
	w.send(nil, func() answer { return answer{} }, func(_ answer, ok bool) {
		if ok {
			w.sessionGone(next)
		}
	})
}

func (w *world) other(key string) {
	if others := w.drop(key, func(c claim) bool { return c.others }); len(others) > 0 {
		return
	}
	w.server.numbers++
	w.server.queues[key] = append(w.server.queues[key], claim{number: w.server.numbers, others: true})
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
