package server

import (
	"sync"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
)

// task is something to do with the member, in the loop.
type task func(*member.Member)

// lane is a queue of tasks in order.
type lane struct {
	tasks  []task
	weight int // bytes
}

// inbox is what waits for the loop. Members' messages and questions about the member have a
// lane of their own, so that they are taken while clients have to wait.
type inbox struct {
	mu      sync.Mutex
	room    sync.Cond
	members lane
	clients lane
	closed  bool
	ready   chan struct{} // has an element when there may be something
}

func newInbox() *inbox {
	b := &inbox{ready: make(chan struct{}, 1)}
	b.room.L = &b.mu
	return b
}

// fromMember puts a task in. It waits while there is too much, unless the task weighs nothing.
func (b *inbox) fromMember(weight int, t task) { b.put(&b.members, weight, t) }

// fromClient does the same for a client.
func (b *inbox) fromClient(weight int, t task) { b.put(&b.clients, weight, t) }

// ask puts a task of no weight in, and reports whether it will be carried out.
func (b *inbox) ask(t task) bool { return b.put(&b.members, 0, t) }

func (b *inbox) put(l *lane, weight int, t task) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for weight > 0 && l.weight >= maxInbox && !b.closed {
		b.room.Wait()
	}
	if b.closed {
		return false
	}
	l.tasks = append(l.tasks, t)
	l.weight += weight
	select {
	case b.ready <- struct{}{}:
	default: // it has been told
	}
	return true
}

// take empties the lanes, that of the clients only if they are served. The slices are to be
// handed back with the next call.
func (b *inbox) take(members, clients []task, serve bool) (m, c []task) {
	clear(members)
	clear(clients)
	b.mu.Lock()
	defer b.mu.Unlock()
	m, b.members = b.members.tasks, lane{tasks: members[:0]}
	if serve {
		c, b.clients = b.clients.tasks, lane{tasks: clients[:0]}
	}
	b.room.Broadcast()
	return m, c
}

// waiting reports whether clients have put something in.
func (b *inbox) waiting() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.clients.tasks) > 0
}

// close lets nothing more in, and drops what is in.
func (b *inbox) close() (rest []task) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.room.Broadcast()
	rest = b.members.tasks
	b.members, b.clients = lane{}, lane{}
	return rest
}
