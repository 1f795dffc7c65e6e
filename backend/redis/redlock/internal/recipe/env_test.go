package recipe_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/model"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/recipe"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/drivertest"
)

// env is N model nodes, and a network in virtual time: each way of a message takes up to a
// millisecond, and no two arrive in the order in which they were sent.
type env struct {
	mu      sync.Mutex
	rnd     *rand.Rand
	nodes   []*model.Node
	clients map[string]*client // by channel
	sent    map[string]int     // requests, by kind
	replied map[string]int     // by kind and outcome
	// lose has the reply lost of the first request of each kind that a client sends to a node.
	lose func(node int) bool
	// away is a node that is known to be unfit, silent one that is not.
	away, silent func(node int) bool
	quick        time.Duration // at most, of a message; a millisecond if zero
	trip         func() time.Duration
	info         driver.Info
	again        bool // clients ask again where they get no answer
}

var info = driver.Info{
	Name: "redlock", Guarantee: driver.FencedOrder, Features: driver.Push,
	MinTTL: 100 * time.Millisecond, MaxTTL: time.Minute,
}

func none(int) bool { return false }

func only(nodes ...int) func(int) bool {
	return func(node int) bool {
		for _, n := range nodes {
			if n == node {
				return true
			}
		}
		return false
	}
}

func newEnv(t testing.TB, n int) *env {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w := &env{
		rnd: rand.New(rand.NewPCG(seed, 0)), clients: map[string]*client{}, sent: map[string]int{}, replied: map[string]int{},
		lose: none, away: none, silent: none, info: info,
	}
	for range n {
		w.nodes = append(w.nodes, model.New())
	}
	return w
}

// client is one client of the world, with a link to each node.
type client struct {
	*recipe.Backend
	w       *env
	channel string
	links   []*link

	// Guarded by the world's mutex.
	cut    bool
	closed bool
	held   []func() // messages that wait for the cut to be mended
	ends   map[*request]struct{}
}

// link is one client's way to a node.
type link struct {
	c     *client
	node  int
	lost  map[string]bool // kinds of which a reply was lost
	unfit atomic.Bool
	hook  func(r wire.Request) error
}

func (w *env) client() *client {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := &client{w: w, channel: "c" + strconv.Itoa(len(w.clients)), ends: map[*request]struct{}{}}
	w.clients[c.channel] = c
	nodes := make([]wire.Node, len(w.nodes))
	for i := range nodes {
		l := &link{c: c, node: i, lost: map[string]bool{}}
		c.links, nodes[i] = append(c.links, l), l
	}
	c.Backend = recipe.New(recipe.Config{Nodes: nodes, Channel: c.channel, Info: w.info, Close: c.close, Trip: w.trip})
	return c
}

func (c *client) close() {
	c.w.mu.Lock()
	var all []*request
	for r := range c.ends {
		all = append(all, r)
	}
	c.closed = true
	c.w.mu.Unlock()
	for _, r := range all {
		r.end(nil, fmt.Errorf("%w: closed", driver.ErrUnavailable))
	}
}

// request is one message under way, which is answered once.
type request struct {
	c     *client
	once  sync.Once
	timer *time.Timer
	done  func(any, error)
}

func (r *request) end(reply any, err error) {
	r.once.Do(func() {
		r.timer.Stop()
		r.c.w.mu.Lock()
		delete(r.c.ends, r)
		r.c.w.mu.Unlock()
		r.done(reply, err)
	})
}

func kind(r wire.Request) string { return fmt.Sprintf("%T", r)[len("wire."):] }

var (
	errAway    = fmt.Errorf("%w: %w: it is away", driver.ErrUnavailable, wire.ErrNotSent)
	errSilence = fmt.Errorf("%w: no answer in time", driver.ErrUnavailable)
)

func (l *link) Name() string { return "h" + strconv.Itoa(l.node) }

func (l *link) Fit() error {
	if l.c.w.away(l.node) || l.unfit.Load() {
		return errAway
	}
	return nil
}

func (l *link) Send(ctx context.Context, r wire.Request, timeout time.Duration, done func(any, error)) {
	w, c := l.c.w, l.c
	if ctx.Err() != nil || l.Fit() != nil {
		done(nil, errAway)
		return
	}
	if l.hook != nil {
		if err := l.hook(r); err != nil {
			done(nil, err)
			return
		}
	}
	w.mu.Lock()
	if c.closed {
		w.mu.Unlock()
		done(nil, errAway)
		return
	}
	q := &request{c: c, done: done}
	q.timer = time.AfterFunc(timeout, func() {
		if w.silent(l.node) {
			l.unfit.Store(true) // remembered health
		}
		q.end(nil, errSilence)
	})
	c.ends[q] = struct{}{}
	w.sent[kind(r)]++
	loses := w.lose(l.node) && !l.lost[kind(r)]
	l.lost[kind(r)] = true
	w.mu.Unlock()
	l.travel(func() {
		if w.silent(l.node) {
			return
		}
		reply := l.do(r)
		if !loses {
			l.travel(func() {
				if err, ok := reply.(error); ok {
					q.end(nil, fmt.Errorf("%w: %w", driver.ErrRefused, err))
					return
				}
				q.end(reply, nil)
			})
		}
	})
}

// do has the node carry out a request, and its notices travel.
func (l *link) do(r wire.Request) any {
	w := l.c.w
	w.mu.Lock()
	reply, told := w.nodes[l.node].Do(time.Now(), r)
	if t, ok := reply.(wire.TakeReply); ok {
		w.replied["Take "+[]string{"", "Done", "None", "Other", "Over"}[t.Outcome]]++
	}
	w.mu.Unlock()
	for _, t := range told {
		w.mu.Lock()
		to := w.clients[t.Channel]
		w.mu.Unlock()
		to.links[l.node].travel(func() { to.Notify(l.node, t.Notice) })
	}
	return reply
}

// travel has a message arrive after a while; if the client is cut off, after the cut.
func (l *link) travel(arrive func()) {
	w, c := l.c.w, l.c
	w.mu.Lock()
	most := w.quick
	if most == 0 {
		most = time.Millisecond
	}
	d := time.Duration(w.rnd.Int64N(int64(most)))
	w.mu.Unlock()
	time.AfterFunc(d, func() {
		w.mu.Lock()
		if c.cut {
			c.held = append(c.held, arrive)
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
		arrive()
	})
}

// partition cuts a client off until it is mended: then all arrives that was under way.
func (c *client) partition() (heal func()) {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.cut = true
	return func() {
		c.w.mu.Lock()
		held := c.held
		c.cut, c.held = false, nil
		c.w.mu.Unlock()
		for _, arrive := range held {
			arrive()
		}
		for i := range c.links {
			c.Notify(i, wire.Notice{Kind: wire.NoticesLost})
		}
	}
}

// took returns the requests since the last look, by kind, when all has come to rest.
func (w *env) took() map[string]int {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	sent := w.sent
	w.sent = map[string]int{}
	return sent
}

// at calls f with the model of a node.
func (w *env) at(node int, f func(n *model.Node)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(w.nodes[node])
}

func (w *env) harness() drivertest.Harness {
	var clients sync.Map
	return drivertest.Harness{
		New: func(drivertest.T) driver.Backend {
			c := w.client()
			var b driver.Backend = c
			if w.again {
				b = &again{Backend: c}
			}
			clients.Store(b, c)
			return b
		},
		Want: w.info,
		DestroyGrant: func(_ drivertest.T, key string) {
			for i := range w.nodes {
				w.at(i, func(n *model.Node) { n.Vanish(key) })
			}
		},
		Partition: func(_ drivertest.T, b driver.Backend) func() {
			c, _ := clients.Load(b)
			return c.(*client).partition()
		},
		Failover: func(drivertest.T) { // they come back with what they had
			for i := range w.nodes {
				w.mu.Lock()
				w.nodes[i] = w.nodes[i].Snapshot()
				w.mu.Unlock()
			}
		},
		Lacks: map[string]string{
			"KillSession": "Redis has no sessions", "Open": "the package has no URLs", "Away": "the package has no URLs",
		},
	}
}
