package sim

import (
	"fmt"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/model"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/script"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/vote"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

// identity is what a node is to its clients: the version of the list that it is in, and the boot for which it
// was certified. A request is for one, and a node that is another refuses it.
type identity struct{ list, boot int }

// host is a server with a node. The world's mutex guards it.
type host struct {
	w    *world
	n    int
	node *model.Node
	old  *model.Node // what it comes back with, if that is old
	rate float64     // how much faster its clock runs

	is        identity
	up        bool
	certified bool // otherwise it answers nobody
}

// now is the time by the host's clock, but for the jumps that it has made.
func (h *host) now() time.Time {
	since := time.Since(h.w.began)
	return h.w.began.Add(since + time.Duration(float64(since)*h.rate))
}

// do carries out a request, if it is for this node as it is. Called with the mutex held.
func (h *host) do(r wire.Request) (any, []model.Told) {
	if f := h.w.mutation.node; f != nil {
		return f(h, r)
	}
	return h.node.Do(h.now(), r)
}

// restartKind is how a node comes back.
type restartKind int

const (
	intact   restartKind = iota // with all that it has answered
	empty                       // with nothing
	outdated                    // with what it had some time ago
	replaced                    // not at all: an empty one has its place, by the operator's procedure
)

// restart takes a node down, and has it come back. Called with the mutex held.
//
// Intact, it answers at once. Otherwise it abstains for the longest TTL: by then the grants that it had
// part in have ended, and no try that had its word is open. Only then are the counters of the others
// read, which have all tokens since they were granted by a majority of others, or written back
// there. It does what package fleet does with real nodes.
func (h *host) restart(kind restartKind) {
	w := h.w
	h.up, h.certified = false, false
	down := w.between(5*time.Millisecond, 300*time.Millisecond)
	w.sum.restarts[kind]++
	w.trace("node %d goes down, kind %d", h.n, kind)
	counts := w.counters(h)
	after := func(d time.Duration, f func()) {
		time.AfterFunc(d, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			f()
		})
	}
	if kind == replaced { // the majority is in the new list before anything else
		for _, o := range w.hosts {
			if o.is.list++; o != h {
				w.introduce(o)
			}
		}
	}
	after(down, func() {
		h.up = true
		h.is.boot++
		skew := h.node.Skew
		switch kind {
		case empty, replaced:
			h.node = model.New()
			for _, key := range w.keys { // the clock, at which a counter begins, is of no help here
				h.node.Counters[script.Shard(key)] = 0
			}
		case outdated:
			if h.node = model.New(); h.old != nil {
				h.node = h.old.Snapshot()
			}
		}
		if h.node.Skew = skew; kind == intact {
			h.certify()
			return
		}
		abstain := longestTTL
		if w.mutation.noDelay {
			abstain = time.Millisecond
		}
		after(abstain, func() {
			if !w.mutation.earlyRead {
				counts = w.counters(h)
			}
			for shard, c := range counts {
				if !w.mutation.countersLost[kind] {
					h.node.Raise(shard, c)
				}
			}
			h.certify()
		})
	})
}

// certify has the node answer, and tells the clients.
func (h *host) certify() {
	h.certified = true
	h.w.trace("node %d answers as %v", h.n, h.is)
	h.w.introduce(h)
	if h.w.rng.IntN(2) == 0 { // so that it is needed now
		h.w.isolate(h.w.hosts[(h.n+1+h.w.rng.IntN(len(h.w.hosts)-1))%len(h.w.hosts)])
	}
}

// isolate cuts a node off from everyone for a moment. Called with the mutex held.
func (w *world) isolate(h *host) {
	if !w.faulty() {
		return
	}
	w.sum.isolated++
	w.trace("node %d is cut off", h.n)
	cut := func(is bool) {
		for _, c := range w.clients {
			c.links[h.n].cut = is && w.faulty()
		}
	}
	cut(true)
	time.AfterFunc(w.between(50*time.Millisecond, time.Second), func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		cut(false)
	})
}

// counters are the greatest of a majority's, which the other nodes are. Called with the mutex held.
func (w *world) counters(but *host) map[int]uint64 {
	counts := map[int]uint64{}
	for _, h := range w.hosts {
		if h == but || !h.certified {
			continue
		}
		for shard, c := range h.node.Counters {
			counts[shard] = max(counts[shard], c)
		}
	}
	return counts
}

// mayFail reports whether a majority without it is certified, so that it may go. Called with the mutex held.
func (h *host) mayFail() bool {
	if !h.certified {
		return false
	}
	n := 0
	for _, o := range h.w.hosts {
		if o != h && o.certified {
			n++
		}
	}
	return n >= vote.Quorum(len(h.w.hosts))
}

// introduce tells each client what a node is now, which they learn one by one.
func (w *world) introduce(h *host) {
	is := h.is
	for _, c := range w.clients {
		l := c.links[h.n]
		time.AfterFunc(w.between(0, 20*time.Millisecond), func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			l.knows = is
		})
	}
}

var errUnfit = fmt.Errorf("%w: %w: UNFIT", driver.ErrUnavailable, driver.ErrRefused)
