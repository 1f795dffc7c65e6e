package cluster

import (
	"context"
	"slices"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
)

// listener is where notifications come from: a subscription at one of the masters. What a script publishes at any node comes
// to all of them, so which one it is does not matter, as long as it hears from the others. (A channel of a shard would move with
// its slot, and go-redis would not.) When that master falls asleep, is cut off, or is one no more, the listener
// moves to another. It looks for that itself: nobody who waits would miss what does not come.
//
// It looks so often that it is elsewhere before the Cluster can have given that master up, and a new one has something to
// say. The view that it gets serves as a look at the map, too: so a client hears of a fail-over
// also if it only waits, or holds.
type listener struct {
	cluster *Cluster
	checks  chan struct{} // it is time to look; capacity 1

	mu    sync.Mutex
	addr  string // where it is, or is to be
	moved time.Time
	node  *node.Node // nil before Subscribe
}

// The pauses between two looks: as long as all masters answer each other, while one does not, and when that has
// lasted for long. And how often the listener moves at the most because of what others say.
const (
	mostBeat    = 5 * time.Second
	uneasyBeat  = 250 * time.Millisecond
	longUneasy  = time.Minute
	leastToMove = 100 * time.Millisecond
)

// Subscribe begins to listen to a channel; see node.Subscribe. Called once, after Find.
func (c *Cluster) Subscribe(ctx context.Context, channel string, onMessage func(payload string), onResubscribe func()) error {
	l := &c.listener
	addr := c.peers.shuffle(c.slots.Load().addrs())[0]
	l.mu.Lock()
	l.addr = addr
	l.node = node.New(c.closing, node.Config{Options: c.conf.Options(addr), Contact: c.conf.Contact(addr), Place: l})
	n := l.node
	l.mu.Unlock()
	err := n.Subscribe(ctx, channel, onMessage, onResubscribe)
	for try := 1; err != nil && ctx.Err() == nil && try < len(c.Masters()); try++ {
		l.leave(l.at())
		err = n.Subscribe(ctx, channel, onMessage, onResubscribe)
	}
	if err == nil && !c.peers.begin(l.listen) {
		err = goredis.ErrClosed
	}
	return err
}

// at is where the listener is.
func (l *listener) at() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.addr
}

// Where is for the node of the subscription, whose Place the listener is.
func (l *listener) Where(context.Context) (string, error) { return l.at(), nil }

// Vouch is not needed: messages are hints, and whoever gets one asks.
func (l *listener) Vouch(context.Context, string) error { return nil }

// Silence is how long nothing may come, not even an answer to a ping, until there is doubt.
func (l *listener) Silence() time.Duration { return l.beat() }

// Doubt is called when the subscription cannot be made, or is silent.
func (l *listener) Doubt(addr string) {
	l.leave(addr)
	l.cluster.Doubt(addr)
}

// check has the listener look at once, if it is at an address.
func (l *listener) check(addr string) {
	if l.at() != addr {
		return
	}
	select {
	case l.checks <- struct{}{}:
	default: // it will
	}
}

// leave moves the listener if it is at an address. If all are in doubt it goes round.
func (l *listener) leave(addr string) {
	l.mu.Lock()
	n, since := l.node, time.Since(l.moved)
	if l.addr != addr || n == nil || since < leastToMove {
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	others := slices.DeleteFunc(l.cluster.slots.Load().addrs(), func(a string) bool { return a == addr })
	if len(others) == 0 {
		return
	}
	to := l.cluster.peers.shuffle(others)[0]
	l.mu.Lock()
	if l.addr != addr {
		l.mu.Unlock()
		return
	}
	l.addr, l.moved = to, time.Now()
	l.mu.Unlock()
	n.Moved(to) // Where says so before
}

// beat is how long the listener waits between two looks: with the time for an answer it is no more than Silence.
func (l *listener) beat() time.Duration {
	return max(min(l.cluster.Silence()/2, mostBeat), uneasyBeat)
}

// listen looks at where the listener is, again and again.
func (l *listener) listen() {
	c := l.cluster
	var uneasySince time.Time
	pause := l.beat()
	for {
		if !l.rest(pause) {
			return
		}
		c.peers.tidy(c.slots.Load())
		addr := l.at()
		ctx, cancel := context.WithTimeoutCause(c.closing, min(l.beat(), tellTimeout), errSilent)
		v, err := c.peers.tell(ctx, addr)
		cancel()
		if c.closing.Err() != nil {
			return
		}
		if err != nil {
			c.Doubt(addr)
			l.leave(addr)
			pause = uneasyBeat
			continue
		}
		if v.isolated() {
			l.leave(addr) // nobody's messages come there
		}
		if v.news(c.slots.Load()) {
			c.renew()
		}
		pause = l.beat()
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
func (l *listener) rest(pause time.Duration) bool {
	began := time.Now()
	select {
	case <-time.After(jitter(pause)):
	case <-l.checks:
		select { // a look that fails wants another
		case <-time.After(leastToMove - time.Since(began)):
		case <-l.cluster.closing.Done():
		}
	case <-l.cluster.closing.Done():
	}
	return l.cluster.closing.Err() == nil
}

func (l *listener) close() {
	l.mu.Lock()
	n := l.node
	l.mu.Unlock()
	if n != nil {
		n.Close()
	}
}
