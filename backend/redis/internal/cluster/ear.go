package cluster

import (
	"context"
	"slices"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
)

// ear is where notifications come from: a subscription at one of the masters. What a script publishes at any node comes
// to all of them, so which one it is does not matter, as long as it hears from the others. (A channel of a shard would move with
// its slot, and go-redis would not.) When that master falls asleep, is cut off, or is one no more, the ear
// moves to another. It looks for that itself: nobody who waits would miss what does not come.
//
// It looks so often that it is elsewhere before the Cluster can have given that master up, and a new one has something to
// say. The view that it gets serves as a look at the map, too: so a client hears of a fail-over
// also if it only waits, or holds.
type ear struct {
	cluster *Cluster
	checks  chan struct{} // it is time to look; capacity 1

	mu    sync.Mutex
	addr  string // where it is, or is to be
	moved time.Time
	node  *node.Node // nil before Subscribe
}

// The pauses between two looks: as long as all masters answer each other, while one does not, and when that has
// lasted for long. And how often the ear moves at the most because of what others say.
const (
	mostBeat    = 5 * time.Second
	uneasyBeat  = 250 * time.Millisecond
	longUneasy  = time.Minute
	leastToMove = 100 * time.Millisecond
)

// Subscribe begins to listen to a channel; see node.Subscribe. Called once, after Find.
func (c *Cluster) Subscribe(ctx context.Context, channel string, onMessage func(payload string), onResubscribe func()) error {
	e := &c.ear
	addr := c.peers.shuffle(c.slots.Load().addrs())[0]
	e.mu.Lock()
	e.addr = addr
	e.node = node.New(c.closing, node.Config{Options: c.conf.Options(addr), Contact: c.conf.Contact(addr), Place: e})
	n := e.node
	e.mu.Unlock()
	err := n.Subscribe(ctx, channel, onMessage, onResubscribe)
	for try := 1; err != nil && ctx.Err() == nil && try < len(c.Masters()); try++ {
		e.leave(e.at())
		err = n.Subscribe(ctx, channel, onMessage, onResubscribe)
	}
	if err == nil && !c.peers.begin(e.listen) {
		err = goredis.ErrClosed
	}
	return err
}

// at is where the ear is.
func (e *ear) at() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.addr
}

// Where is for the node of the subscription, whose Place the ear is.
func (e *ear) Where(context.Context) (string, error) { return e.at(), nil }

// Vouch is not needed: messages are hints, and whoever gets one asks.
func (e *ear) Vouch(context.Context, string) error { return nil }

// Silence is how long nothing may come, not even an answer to a ping, until there is doubt.
func (e *ear) Silence() time.Duration { return e.beat() }

// Doubt is called when the subscription cannot be made, or is silent.
func (e *ear) Doubt(addr string) {
	e.leave(addr)
	e.cluster.Doubt(addr)
}

// check has the ear look at once, if it is at an address.
func (e *ear) check(addr string) {
	if e.at() != addr {
		return
	}
	select {
	case e.checks <- struct{}{}:
	default: // it will
	}
}

// leave moves the ear if it is at an address. If all are in doubt it goes round.
func (e *ear) leave(addr string) {
	e.mu.Lock()
	n, since := e.node, time.Since(e.moved)
	if e.addr != addr || n == nil || since < leastToMove {
		e.mu.Unlock()
		return
	}
	e.mu.Unlock()
	others := slices.DeleteFunc(e.cluster.slots.Load().addrs(), func(a string) bool { return a == addr })
	if len(others) == 0 {
		return
	}
	to := e.cluster.peers.shuffle(others)[0]
	e.mu.Lock()
	if e.addr != addr {
		e.mu.Unlock()
		return
	}
	e.addr, e.moved = to, time.Now()
	e.mu.Unlock()
	n.Moved(to) // Where says so before
}

// beat is how long the ear waits between two looks: with the time for an answer it is no more than Silence.
func (e *ear) beat() time.Duration {
	return max(min(e.cluster.Silence()/2, mostBeat), uneasyBeat)
}

// listen looks at where the ear is, again and again.
func (e *ear) listen() {
	c := e.cluster
	var uneasySince time.Time
	pause := e.beat()
	for {
		if !e.rest(pause) {
			return
		}
		c.peers.tidy(c.slots.Load())
		addr := e.at()
		ctx, cancel := context.WithTimeoutCause(c.closing, min(e.beat(), tellTimeout), errSilent)
		v, err := c.peers.tell(ctx, addr)
		cancel()
		if c.closing.Err() != nil {
			return
		}
		if err != nil {
			c.Doubt(addr)
			e.leave(addr)
			pause = uneasyBeat
			continue
		}
		if v.isolated() {
			e.leave(addr) // nobody's messages come there
		}
		if v.news(c.slots.Load()) {
			c.renew()
		}
		pause = e.beat()
		if v.uneasy() {
			if uneasySince.IsZero() {
				uneasySince = time.Now()
			}
			if time.Since(uneasySince) < longUneasy {
				pause = uneasyBeat
			}
		} else {
			uneasySince = time.Time{}
		}
	}
}

// rest waits until it is time for the next look: for some time, or less if somebody wants it. It returns false once Close
// has begun.
func (e *ear) rest(pause time.Duration) bool {
	began := time.Now()
	select {
	case <-time.After(jitter(pause)):
	case <-e.checks:
		select { // a look that fails wants another
		case <-time.After(leastToMove - time.Since(began)):
		case <-e.cluster.closing.Done():
		}
	case <-e.cluster.closing.Done():
	}
	return e.cluster.closing.Err() == nil
}

func (e *ear) close() {
	e.mu.Lock()
	n := e.node
	e.mu.Unlock()
	if n != nil {
		n.Close()
	}
}
