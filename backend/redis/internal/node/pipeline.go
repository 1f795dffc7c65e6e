package node

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// pipeline sends commands, in one of two ways.
//
// Up to directLimit callers each use a conn of their own, from their own goroutine. Passing
// the command to another goroutine and back would double its time on a small machine,
// where every wake-up counts.
//
// Further callers queue their commands, and one or two senders send all that is queued
// in one write. The more callers, the more commands go together.
//
// go-redis has an automatic pipeline too; docs/decisions tells why it is not used.
type pipeline struct {
	pool        *pool
	directLimit int32        // how many callers may each use a conn directly
	inFlight    atomic.Int32 // callers in do
	senders     int          // how many there may be
	wake        sync.Cond    // of mu: there is work for a sender that sleeps, or the end

	mu       sync.Mutex
	queue    []*request
	awake    int // senders that work
	sleeping int // senders that sleep
	closed   bool
	running  sync.WaitGroup // senders
}

const maxBatch = 256

// request is a command that a sender sends for a caller of do, or for Go.
type request struct {
	ctx     context.Context
	timeout time.Duration
	cmd     *goredis.Cmd
	done    chan struct{} // closed when cmd has its outcome; nil for Go

	// Of Go.
	call   *Call
	queued time.Time
	sent   bool
	asking *goredis.Cmd // that was sent before it; nil if none was
}

// newPipeline makes a pipeline with connections of its own. Commands under way end when closing
// does.
func newPipeline(closing context.Context, conf goredis.Options, directLimit int32, senders int) *pipeline {
	p := &pipeline{pool: newPool(closing, conf), directLimit: directLimit, senders: senders}
	p.wake.L = &p.mu
	return p
}

// do runs a command, and returns its error. If ctx ends first, it returns ctx's cause, and the
// outcome is not known.
func (p *pipeline) do(ctx context.Context, timeout time.Duration, cmd *goredis.Cmd) error {
	defer p.inFlight.Add(-1)
	if p.inFlight.Add(1) <= p.directLimit {
		return p.pool.process(ctx, timeout, cmd)
	}
	r := &request{ctx: ctx, timeout: timeout, cmd: cmd, done: make(chan struct{})}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return goredis.ErrClosed
	}
	p.queue = append(p.queue, r)
	p.wakeSender()
	p.mu.Unlock()
	select {
	case <-r.done:
		return cmd.Err()
	case <-ctx.Done():
		return context.Cause(ctx) // the command is the sender's, do not touch it
	}
}

// wakeSender makes sure that a sender takes what is queued. A second sender begins only
// when a crowd waits: the first sends all that has queued up when it comes back. It needs p.mu.
func (p *pipeline) wakeSender() {
	const crowd = 32
	switch {
	case p.awake > 0 && len(p.queue) < crowd, p.awake >= p.senders:
		// A sender that works takes it next.
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

// send sends what is queued, again and again, until close. A goroutine for each
// command would grow its stack again each time.
func (p *pipeline) send() {
	defer p.running.Done()
	var batch []*request // used again and again, as cmds is
	var cmds []goredis.Cmder
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for len(p.queue) > 0 {
			batch = p.nextBatch(batch)
			p.mu.Unlock()
			cmds = p.pool.exchange(batch, cmds)
			clear(batch)
			clear(cmds)
			p.mu.Lock()
		}
		p.awake--
		if p.closed {
			return
		}
		p.sleeping++
		p.wake.Wait() // wakeSender has counted this sender as awake
		if p.closed {
			p.sleeping--
			p.awake++
		}
	}
}

// nextBatch removes a sender's share of the queue.
func (p *pipeline) nextBatch(batch []*request) []*request {
	n := min(len(p.queue), maxBatch)
	batch = append(batch[:0], p.queue[:n]...)
	rest := copy(p.queue, p.queue[n:])
	clear(p.queue[rest:])
	p.queue = p.queue[:rest]
	return batch
}

// exchange runs the commands of a batch in one round trip, and finishes each request. It uses cmds as
// room for the commands, and returns it, grown if need be.
func (p *pool) exchange(batch []*request, cmds []goredis.Cmder) []goredis.Cmder {
	var timeout time.Duration
	for _, r := range batch {
		timeout = max(timeout, r.timeout)
	}
	now := time.Now()
	c, waited, failed := p.take(context.Background(), now, timeout)
	if waited {
		now = time.Now()
	}
	cmds = cmds[:0]
	for _, r := range batch {
		err := r.whyNotSent(now, c, failed)
		if r.sent = err == nil; !r.sent {
			r.cmd.SetErr(err)
			continue
		}
		if r.call != nil && r.call.Asking {
			r.asking = goredis.NewCmd(r.ctx, "asking")
			cmds = append(cmds, r.asking)
		}
		cmds = append(cmds, r.cmd)
	}
	if failed == nil {
		now = time.Now()
		c.processAll(cmds, timeout)
		c.resend(batch, timeout)
		for _, r := range batch {
			r.askingRefused()
		}
		p.put(c)
		if p.locator.place != nil {
			p.judge(batch, c.at, now, timeout)
		}
	}
	for _, r := range batch {
		if err := r.cmd.Err(); err != nil {
			r.cmd.SetErr(p.reason(err))
		}
		r.finish()
	}
	return cmds
}

// judge gives those requests of a batch an error whose answers do not count. All of the batch was sent after now.
func (p *pool) judge(batch []*request, at *location, now time.Time, timeout time.Duration) {
	ctx := context.Background()
	var why error
	asked := false // whether the answers count, for all of them
	for _, r := range batch {
		switch err := r.cmd.Err(); {
		case !r.sent:
		case !isAnswer(err):
			r.cmd.SetErr(p.locator.failed(ctx, at, err))
		default:
			if !asked {
				asked, why = true, p.locator.accept(ctx, at, now, timeout)
			}
			if why != nil {
				r.cmd.SetErr(why)
			}
		}
	}
}

// askingRefused gives a request the error of the ASKING before it, if that is why it was sent on. If the server has
// taken it all the same, since the slot is its own by now, its answer counts.
func (r *request) askingRefused() {
	if r.asking == nil || r.asking.Err() == nil {
		return
	}
	if _, _, _, sentOn := Redirect(r.cmd.Err()); sentOn {
		r.cmd.SetErr(r.asking.Err())
	}
}

// whyNotSent says why a request is not sent now; nil if it is sent. failed is why there is no conn.
func (r *request) whyNotSent(now time.Time, c *conn, failed error) error {
	switch {
	case r.call == nil && r.ctx.Err() != nil:
		return r.ctx.Err() // the caller has gone
	case r.call == nil:
		return failed
	case r.ctx.Err() != nil:
		return errDropped
	case failed != nil:
		return &notSent{failed}
	case now.Sub(r.queued) > r.timeout:
		return errWaited
	case r.call.Boot != "" && r.call.Boot != c.boot:
		return &BootError{Want: r.call.Boot, Got: c.boot}
	}
	return nil
}

// processAll runs commands in one round trip. Each has its own error afterwards.
func (c *conn) processAll(cmds []goredis.Cmder, timeout time.Duration) {
	if len(cmds) == 0 {
		return
	}
	ctx := context.Background()
	c.begin(ctx, time.Now(), timeout)
	switch len(cmds) {
	case 1:
		_ = c.client.Process(ctx, cmds[0])
	default:
		pl := c.client.Pipeline()
		for _, cmd := range cmds {
			_ = pl.Process(ctx, cmd) // queues it
		}
		_, _ = pl.Exec(ctx)
	}
	c.end()
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil {
			cmd.SetErr(c.judge(err, timeout))
		}
	}
}

// close ends the commands under way, and waits for the senders.
func (p *pipeline) close() {
	p.pool.shutDown()
	p.mu.Lock()
	p.closed = true
	p.wake.Broadcast()
	p.mu.Unlock()
	p.running.Wait()
	p.pool.connects.Wait()
}
