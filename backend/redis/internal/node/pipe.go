package node

import (
	"context"
	"sync"
	"sync/atomic"
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
	lanes   *lanes
	alone   int32        // how many callers may use a lane by themselves
	inside  atomic.Int32 // callers in do
	senders int          // the most of them
	wake    sync.Cond    // of mu: there is work for a sender that sleeps, or the end

	mu       sync.Mutex
	queue    []*request
	awake    int // senders that work
	sleeping int // senders that sleep
	closed   bool
	running  sync.WaitGroup // senders
}

const maxPipeline = 256

// request is what a sender takes to the server, for a caller of do, or for Go.
type request struct {
	ctx     context.Context
	timeout time.Duration
	cmd     *goredis.Cmd
	done    chan struct{} // closed when cmd has what became of it; nil for Go

	// Of Go.
	call   *Call
	queued time.Time
}

// newPipe makes a pipe with connections of its own. What is under way ends when closing
// does.
func newPipe(closing context.Context, conf goredis.Options, alone int32, senders int) *pipe {
	p := &pipe{lanes: newLanes(closing, conf), alone: alone, senders: senders}
	p.wake.L = &p.mu
	return p
}

// do runs a command, and returns its error, or ctx's if that ends first; then
// its outcome is not known.
func (p *pipe) do(ctx context.Context, timeout time.Duration, cmd *goredis.Cmd) error {
	defer p.inside.Add(-1)
	if p.inside.Add(1) <= p.alone {
		return p.lanes.process(ctx, timeout, cmd)
	}
	r := &request{ctx: ctx, timeout: timeout, cmd: cmd, done: make(chan struct{})}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return goredis.ErrClosed
	}
	p.queue = append(p.queue, r)
	p.rouse()
	p.mu.Unlock()
	select {
	case <-r.done:
		return cmd.Err()
	case <-ctx.Done():
		return context.Cause(ctx) // the command is the sender's, do not touch it
	}
}

// rouse sees to it that a sender takes what is queued. A second one begins only
// when a crowd waits: the first takes all the others along when it comes back.
func (p *pipe) rouse() {
	const crowd = 32
	switch {
	case p.awake > 0 && len(p.queue) < crowd, p.awake >= p.senders:
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
	var batch []*request // used again and again, as cmds is
	var cmds []goredis.Cmder
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for len(p.queue) > 0 {
			batch = p.take(batch)
			p.mu.Unlock()
			cmds = p.lanes.exchange(batch, cmds)
			clear(batch)
			clear(cmds)
			p.mu.Lock()
		}
		p.awake--
		if p.closed {
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

// take removes a sender's share of the queue.
func (p *pipe) take(batch []*request) []*request {
	n := min(len(p.queue), maxPipeline)
	batch = append(batch[:0], p.queue[:n]...)
	rest := copy(p.queue, p.queue[n:])
	clear(p.queue[rest:])
	p.queue = p.queue[:rest]
	return batch
}

// exchange runs the commands of a batch in one round trip, and tells those who wait. It returns cmds,
// which is room for commands, grown if need be.
func (s *lanes) exchange(batch []*request, cmds []goredis.Cmder) []goredis.Cmder {
	var timeout time.Duration
	for _, r := range batch {
		timeout = max(timeout, r.timeout)
	}
	now := time.Now()
	l, waited, failed := s.take(context.Background(), now, timeout)
	if waited {
		now = time.Now()
	}
	cmds = cmds[:0]
	for _, r := range batch {
		if err := r.keep(now, l, failed); err != nil {
			r.cmd.SetErr(err)
		} else {
			cmds = append(cmds, r.cmd)
		}
	}
	if failed == nil {
		l.processAll(cmds, timeout)
		l.again(batch, timeout)
		s.put(l)
	}
	for _, r := range batch {
		if err := r.cmd.Err(); err != nil {
			r.cmd.SetErr(s.reason(err))
		}
		r.finish()
	}
	return cmds
}

// keep says why a request is not sent now; nil if it is. failed is why there is no lane.
func (r *request) keep(now time.Time, l *lane, failed error) error {
	switch {
	case r.call == nil && r.ctx.Err() != nil:
		return r.ctx.Err() // nobody looks at it
	case r.call == nil:
		return failed
	case r.ctx.Err() != nil:
		return errDropped
	case failed != nil:
		return &notSent{failed}
	case now.Sub(r.queued) > r.timeout:
		return errWaited
	case r.call.Boot != "" && r.call.Boot != l.boot:
		return &BootError{Want: r.call.Boot, Got: l.boot}
	}
	return nil
}

// processAll runs commands in one round trip. Each has its own error afterwards.
func (l *lane) processAll(cmds []goredis.Cmder, timeout time.Duration) {
	ctx := l.begin(context.Background(), time.Now(), timeout)
	switch len(cmds) {
	case 0:
	case 1:
		_ = l.client.Process(ctx, cmds[0])
	default:
		pl := l.client.Pipeline()
		for _, cmd := range cmds {
			_ = pl.Process(ctx, cmd) // queues it
		}
		_, _ = pl.Exec(ctx)
	}
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil {
			cmd.SetErr(l.judge(err, timeout))
		}
	}
}

// close ends what is under way.
func (p *pipe) close() {
	p.lanes.cut()
	p.mu.Lock()
	p.closed = true
	p.wake.Broadcast()
	p.mu.Unlock()
	p.running.Wait()
	p.lanes.connects.Wait()
}
