package redis

import (
	"context"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// pipe sends commands, in one of two ways.
//
// A few callers each use a lane of their own, from their own goroutine: passing
// the command to another one and back would double its time on a small machine,
// where every wake-up counts.
//
// Many callers queue their commands, and one or two senders take all that is
// queued to the server in one write. The more callers, the more go together.
//
// go-redis has an automatic pipeline too; docs/decisions tells why it is not used.
type pipe struct {
	newLane func() *lane
	alone   int       // how many callers may use a lane of their own
	senders int       // the most of them
	wake    sync.Cond // of mu: there is work for a sender that sleeps, or the end

	mu       sync.Mutex
	inside   int // callers in do
	lanes    []*lane
	free     []*lane
	queue    []*request
	awake    int // senders that work
	sleeping int // senders that sleep
	closed   bool
	running  sync.WaitGroup // senders
}

const maxPipeline = 256

type request struct {
	ctx     context.Context
	timeout time.Duration
	cmd     goredis.Cmder
	done    chan struct{}
}

// newPipe makes a pipe with lanes of its own, set up like the client.
func newPipe(client *goredis.Client) *pipe {
	p := &pipe{newLane: func() *lane { return newLane(*client.Options()) }, alone: 8, senders: 2}
	p.wake.L = &p.mu
	return p
}

// sharedPipe makes a pipe that uses an application's client.
func sharedPipe(client *goredis.Client) *pipe {
	p := &pipe{newLane: func() *lane { return &lane{client: client} }, alone: 0, senders: 8}
	p.wake.L = &p.mu
	return p
}

// do runs a command, and returns its error, or ctx's if that ends first; then
// its outcome is not known.
func (p *pipe) do(ctx context.Context, timeout time.Duration, cmd goredis.Cmder) error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return goredis.ErrClosed
	}
	p.inside++
	if p.inside <= p.alone {
		l := p.lane()
		p.mu.Unlock()
		err := l.process(ctx, timeout, cmd)
		p.mu.Lock()
		p.free = append(p.free, l)
		p.inside--
		p.mu.Unlock()
		return err
	}
	r := &request{ctx: ctx, timeout: timeout, cmd: cmd, done: make(chan struct{})}
	p.queue = append(p.queue, r)
	p.rouse()
	p.mu.Unlock()

	var err error
	select {
	case <-r.done:
		err = cmd.Err()
	case <-ctx.Done():
		err = context.Cause(ctx) // the command is the sender's, do not touch it
	}
	p.mu.Lock()
	p.inside--
	p.mu.Unlock()
	return err
}

// lane takes a free lane, or makes one.
func (p *pipe) lane() *lane {
	if n := len(p.free); n > 0 {
		l := p.free[n-1]
		p.free = p.free[:n-1]
		return l
	}
	l := p.newLane()
	p.lanes = append(p.lanes, l)
	return l
}

// rouse sees to it that a sender takes what is queued. A second one begins only
// when a crowd waits: the first takes all the others along when it comes back.
func (p *pipe) rouse() {
	const crowd = 32
	switch {
	case p.awake > 0 && p.alone > 0 && len(p.queue) < crowd, p.awake >= p.senders:
		// One that works takes it next.
	case p.sleeping > 0:
		p.sleeping--
		p.awake++
		p.wake.Signal()
	default:
		p.awake++
		p.running.Add(1)
		go p.send()
	}
}

// send takes what is queued to the server, again and again, until close. A
// goroutine begun for each command would grow its stack anew each time.
func (p *pipe) send() {
	defer p.running.Done()
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.lane()
	for {
		for len(p.queue) > 0 {
			batch := p.take()
			p.mu.Unlock()
			l.exchange(batch)
			p.mu.Lock()
		}
		p.awake--
		if p.closed {
			if p.alone > 0 {
				_ = l.client.Close() // again, unless the lane is younger than close
			}
			return
		}
		p.sleeping++
		p.wake.Wait() // whoever wakes us counts us awake again
		if p.closed {
			p.sleeping--
			p.awake++
		}
	}
}

// take removes a sender's share of the queue: all of it, or one command where
// each sender has many connections.
func (p *pipe) take() []*request {
	n := min(len(p.queue), maxPipeline)
	if p.alone == 0 && n <= p.senders {
		n = 1
	}
	batch := make([]*request, n)
	copy(batch, p.queue)
	rest := copy(p.queue, p.queue[n:])
	clear(p.queue[rest:])
	p.queue = p.queue[:rest]
	return batch
}

// exchange runs the commands of a batch in one round trip.
func (l *lane) exchange(batch []*request) {
	var timeout time.Duration
	cmds := make([]goredis.Cmder, 0, len(batch))
	for _, r := range batch {
		if err := r.ctx.Err(); err != nil {
			r.cmd.SetErr(err) // nobody waits for it, and it was not sent
			continue
		}
		timeout = max(timeout, r.timeout)
		cmds = append(cmds, r.cmd)
	}
	ctx := l.within(context.Background(), timeout)
	switch len(cmds) {
	case 0:
	case 1:
		_ = l.client.Process(ctx, cmds[0]) // the error is in the command
	default:
		pl := l.client.Pipeline()
		for _, cmd := range cmds {
			_ = pl.Process(ctx, cmd) // queues it
		}
		_, _ = pl.Exec(ctx) // each command has its own error
	}
	for _, r := range batch {
		close(r.done)
	}
}

// close ends commands that are under way, and refuses new ones.
func (p *pipe) close() {
	p.mu.Lock()
	p.closed = true
	lanes := p.lanes
	p.wake.Broadcast()
	p.mu.Unlock()
	if p.alone > 0 {
		for _, l := range lanes {
			l.interrupt(true)
			_ = l.client.Close() // it is being given up
		}
	}
	p.running.Wait()
}
