package redis

import (
	"context"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// pipe sends commands. A few at a time travel on connections of their own; those
// that come while these are under way go together with the next one, in one
// pipeline. So a lone caller waits for nobody, and a thousand callers cost the
// server a few writes.
//
// go-redis has an automatic pipeline too. It is marked experimental, retries on
// its own, does not return when a context is cancelled, and costs a lone caller
// time; see docs/decisions.
type pipe struct {
	client *goredis.Client
	wake   sync.Cond // of mu: there is work for a sender that sleeps, or the end

	mu       sync.Mutex
	queue    []*request
	senders  int // goroutines
	sleeping int // of them
	closed   bool
	running  sync.WaitGroup // counts senders
}

// At most manySenders goroutines send, from the first time that they are needed
// until close; they sleep while there is nothing to do, since a goroutine begun
// for each command would grow its stack anew each time. While a crowd waits, only
// fewSenders of them work, so that each takes many commands along.
const (
	manySenders = 8
	fewSenders  = 2
	crowd       = 16 // requests that wait
	maxPipeline = 256
)

type request struct {
	ctx     context.Context
	timeout time.Duration
	cmd     goredis.Cmder
	done    chan struct{}
}

func newPipe(client *goredis.Client) *pipe {
	p := &pipe{client: client}
	p.wake.L = &p.mu
	return p
}

// do sends a command and waits for its reply, or until ctx ends; what is under
// way then goes on for up to timeout, and its outcome is not known.
func (p *pipe) do(ctx context.Context, timeout time.Duration, cmd goredis.Cmder) error {
	r := &request{ctx: ctx, timeout: timeout, cmd: cmd, done: make(chan struct{})}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return goredis.ErrClosed
	}
	p.queue = append(p.queue, r)
	switch {
	case p.senders-p.sleeping >= p.limit():
		// One that works takes it next.
	case p.sleeping > 0:
		p.wake.Signal()
	default:
		p.senders++
		p.running.Add(1)
		go p.run()
	}
	p.mu.Unlock()

	select {
	case <-r.done:
		return cmd.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *pipe) limit() int {
	if len(p.queue) >= crowd {
		return fewSenders
	}
	return manySenders
}

// run sends what is queued, until close.
func (p *pipe) run() {
	defer p.running.Done()
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		// A sender too many sleeps; one at least works, as limit is never below 1.
		for !p.closed && (len(p.queue) == 0 || p.senders-p.sleeping > p.limit()) {
			p.sleeping++
			p.wake.Wait()
			p.sleeping--
		}
		if len(p.queue) == 0 {
			return // closed
		}
		batch := p.take()
		p.mu.Unlock()
		p.exchange(batch)
		p.mu.Lock()
	}
}

// take removes the sender's share of the queue.
func (p *pipe) take() []*request {
	n := min((len(p.queue)+fewSenders-1)/fewSenders, maxPipeline)
	if len(p.queue) < crowd {
		n = 1
	}
	batch := make([]*request, n)
	copy(batch, p.queue)
	rest := copy(p.queue, p.queue[n:])
	clear(p.queue[rest:])
	p.queue = p.queue[:rest]
	return batch
}

func (p *pipe) exchange(batch []*request) {
	var timeout time.Duration
	var cmds []goredis.Cmder
	for _, r := range batch {
		if err := r.ctx.Err(); err != nil {
			r.cmd.SetErr(err) // nobody waits for it, and it was not sent
			continue
		}
		timeout = max(timeout, r.timeout)
		cmds = append(cmds, r.cmd)
	}
	if len(cmds) > 0 {
		ctx := deadline{context.Background(), time.Now().Add(timeout)}
		if len(cmds) == 1 {
			_ = p.client.Process(ctx, cmds[0]) // the error is in the command
		} else {
			pl := p.client.Pipeline()
			for _, cmd := range cmds {
				_ = pl.Process(ctx, cmd) // queues it
			}
			_, _ = pl.Exec(ctx) // each command has its own error
		}
	}
	for _, r := range batch {
		close(r.done)
	}
}

// close lets commands that are under way end, and refuses new ones.
func (p *pipe) close() {
	p.mu.Lock()
	p.closed = true
	p.wake.Broadcast()
	p.mu.Unlock()
	p.running.Wait()
}

// deadline is a context that only has a deadline, which is all that go-redis
// looks at for a connection; a timer for each command would be wasted.
type deadline struct {
	context.Context
	at time.Time
}

func (d deadline) Deadline() (time.Time, bool) { return d.at, true }
