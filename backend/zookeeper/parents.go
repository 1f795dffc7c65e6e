package zookeeper

import (
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/zookeeper/internal/session"
)

const (
	// parentIdle is how long this client leaves a lock's node unused before it deletes it; it may
	// be up to twice that. The next client that wants the lock makes the node again, which costs
	// two requests.
	parentIdle = 10 * time.Second

	// maxParents is how many are remembered, at some 100 bytes and the key. If there are more,
	// those that have not been used for crowdedIdle are deleted at once. Beyond twice as many they
	// are forgotten, and left to the server's sweep.
	maxParents  = 1 << 14
	crowdedIdle = time.Second

	// maxDeleted is how many are deleted in one transaction.
	maxDeleted = 64
)

// parents remembers the locks whose nodes this client uses, or has used a moment ago.
//
// It serves two purposes. The server may well refuse a create under any other node, and with it
// all that go together; so such a create goes by itself. And a client that has used a node
// deletes it when it is no longer used: see lockNodes.sweep. If somebody else has deleted a node
// that is remembered here, that costs no more than a create that is sent twice.
type parents struct {
	sweep func() // is called, with nothing locked, when there may be something to delete

	mu       sync.Mutex
	known    map[string]*parent
	queue    []*parent // all of them, in the order of parent.look
	timer    *time.Timer
	armed    bool // the timer is set, or a sweep is under way
	sweeping bool
}

// parent is the node of a lock. All but path is guarded by parents.mu.
type parent struct {
	path  string
	users int       // claims in it, or about to be
	used  bool      // there was one
	since time.Time // when the last one has left
	look  time.Time // when to see whether it is idle
}

func newParents(sweep func()) *parents {
	return &parents{sweep: sweep, known: make(map[string]*parent)}
}

func (p *parents) has(path string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.known[path]
	return n != nil && n.used
}

// enter notes that a claim is in a node, or is about to be, since the node was just made.
func (p *parents) enter(path string, about bool) *parent {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.known[path]
	if n == nil {
		if len(p.queue) >= 2*maxParents {
			p.forgetOneLocked()
		}
		n = &parent{path: path, look: time.Now().Add(parentIdle)}
		p.known[path] = n
		p.queue = append(p.queue, n)
		if !p.armed || len(p.queue) == maxParents+1 && !p.sweeping {
			p.armLocked()
		}
	}
	n.users++
	n.used = n.used || !about
	return n
}

// stay notes that the claim that was about to be in a node is there.
func (p *parents) stay(n *parent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n.used = true
}

// leave notes that a claim is gone. Each Unlock calls it, so it does no more.
func (p *parents) leave(n *parent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n.users--
	n.since = time.Now()
}

// forgetOneLocked makes room, unless the next in the queue is in use. There are no more nodes in
// use than claims.
func (p *parents) forgetOneLocked() {
	n := p.queue[0]
	p.queue = p.queue[1:]
	if n.users > 0 {
		n.look = time.Now().Add(parentIdle)
		p.queue = append(p.queue, n)
		return
	}
	delete(p.known, n.path)
}

// takeIdle removes idle nodes, as many as go in one transaction, and returns them. They are not
// known from now on: a create that comes goes by itself.
func (p *parents) takeIdle() (idle []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, bytes := time.Now(), 0
	for range len(p.queue) {
		n, enough := p.queue[0], parentIdle
		if len(p.queue) > maxParents {
			enough = crowdedIdle
		} else if now.Before(n.look) {
			break
		}
		if bytes += len(n.path) + session.OpBytes; len(idle) == maxDeleted || len(idle) > 0 && bytes > session.MaxBytes {
			break
		}
		p.queue = p.queue[1:]
		if n.users > 0 || now.Sub(n.since) < enough {
			n.look = now.Add(parentIdle)
			p.queue = append(p.queue, n)
			continue
		}
		delete(p.known, n.path)
		idle = append(idle, n.path)
	}
	return idle
}

// swept ends a sweep, and says when the next is.
func (p *parents) swept() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweeping = false
	if p.armed = len(p.queue) > 0; p.armed {
		p.armLocked()
	}
}

// armLocked sets the timer. If there are too many nodes, all may be in use, so even then it does
// not fire at once.
func (p *parents) armLocked() {
	wait := time.Until(p.queue[0].look)
	if len(p.queue) > maxParents {
		wait = crowdedIdle
	}
	p.armed = true
	if p.timer == nil {
		p.timer = time.AfterFunc(wait, p.fire)
	} else {
		p.timer.Reset(wait)
	}
}

func (p *parents) fire() {
	p.mu.Lock()
	begin := !p.sweeping // the timer may have been set again just when it had fired
	p.sweeping = true
	p.mu.Unlock()
	if begin {
		p.sweep()
	}
}

func (p *parents) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
	}
}
