package node

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/address"
)

// pool is the set of connections that a few goroutines share: each takes one for a command,
// and puts it back.
//
// Making a connection has a time limit of its own: with TLS and a login it takes several
// round trips, while a request must be over within a third of a TTL. A request waits for
// a connection no longer than its own timeout, and then fails. The pool goes on making the
// connection; the next request finds it, or waits for it in turn.
type pool struct {
	conf     goredis.Options
	closing  context.Context
	stop     context.CancelFunc
	connects sync.WaitGroup
	contact  *address.Contact // nil in tests
	latest   *latest
	tellBoot bool
	patient  bool // Config.Patient
	locator  *locator

	mu         sync.Mutex
	all        map[*conn]struct{}
	free       []*conn           // the last element was used last
	waiting    []chan connResult // requests that wait for a conn; each channel has room for one result
	connecting int               // connections being made: never fewer than requests wait
	failed     error             // of the last connection that was tried; nil if it was made
	closed     bool
}

// connResult is a conn, or why there is none.
type connResult struct {
	conn *conn
	err  error
}

// newPool makes a pool that shuts down when closing ends.
func newPool(closing context.Context, conf goredis.Options) *pool {
	p := &pool{conf: conf, latest: new(latest), all: make(map[*conn]struct{})}
	p.closing, p.stop = context.WithCancel(closing)
	p.locator = newLocator(p.closing, conf.Addr, nil)
	context.AfterFunc(p.closing, p.shutDown)
	return p
}

// process runs a command on a conn; see conn.process.
func (p *pool) process(ctx context.Context, timeout time.Duration, cmd goredis.Cmder) error {
	now := time.Now()
	c, waited, err := p.take(ctx, now, timeout)
	if err != nil {
		return err
	}
	if waited {
		// Another full timeout: a request that is given up for want of a little time
		// costs the connection as well, which would then be made again and again.
		now = time.Now()
	}
	err = c.process(ctx, now, timeout, cmd)
	p.put(c)
	if l := p.locator; l.place != nil {
		if isAnswer(err) {
			if why := l.accept(ctx, c.at, now, timeout); why != nil {
				err = why
			}
		} else {
			err = l.failed(ctx, c.at, err)
		}
	}
	return p.reason(err)
}

// isAnswer reports whether the error of a command is that there is none: the server has answered, and has not
// refused.
func isAnswer(err error) bool { return err == nil || errors.Is(err, goredis.Nil) }

// reason is the error of a command, or ErrClosed if the pool's end is what ended the command.
func (p *pool) reason(err error) error {
	if err == nil || p.closing.Err() == nil || errors.Is(err, ErrNotSent) {
		return err
	}
	var reply goredis.Error
	if errors.As(err, &reply) {
		return err
	}
	return goredis.ErrClosed
}

// take returns a conn that is free, or waits for one until timeout has passed or ctx
// ends.
func (p *pool) take(ctx context.Context, now time.Time, timeout time.Duration) (c *conn, waited bool, err error) {
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return nil, false, goredis.ErrClosed
		}
		n := len(p.free)
		if n == 0 {
			break
		}
		c = p.free[n-1]
		p.free = p.free[:n-1]
		p.mu.Unlock()
		if p.current(c) && (!isIdle(c, now) || c.open()) {
			return c, false, nil
		}
		p.drop(c)
	}
	got := make(chan connResult, 1)
	p.waiting = append(p.waiting, got)
	if p.connecting < len(p.waiting) {
		p.connectLocked()
	}
	p.mu.Unlock()

	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case r := <-got:
		return r.conn, true, r.err
	case <-timer.C:
		err = tooLate("no connection", timeout, time.Duration(p.latest.roundTrip.Load()))
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	p.mu.Lock()
	if i := slices.Index(p.waiting, got); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
		if p.patient && p.failed != nil && ctx.Err() == nil {
			err = p.failed // which says more
		}
		p.mu.Unlock()
		return nil, true, err
	}
	p.mu.Unlock()
	r := <-got // it came at the last moment
	return r.conn, true, r.err
}

// current reports whether c leads to where the server is, and to the process of it that was met last. An older
// process is dead, even if this machine has not noticed the end of the connection.
func (p *pool) current(c *conn) bool {
	return !p.locator.left(c.at) && (!p.tellBoot || c.boot == *p.latest.boot.Load())
}

// warm makes a connection in advance.
func (p *pool) warm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.connectLocked()
	}
}

// connectLocked begins to make a connection. It needs p.mu.
func (p *pool) connectLocked() {
	p.connecting++
	p.connects.Go(func() {
		began := time.Now()
		for {
			pause, again := p.connect(began)
			if !again {
				return
			}
			p.locator.await(p.closing, pause)
		}
	})
}

// connect makes a connection for connectLocked, which has begun a while ago. It reports whether that is to be done once more: at
// once if the server has moved meanwhile, and whoever waits for a connection is to have one to the new place;
// after a pause if nobody is there, and another may soon take its place.
func (p *pool) connect(began time.Time) (pause time.Duration, again bool) {
	c, at, err := connect(p.closing, p.locator, p.conf, p.tellBoot)
	if !p.locator.left(at) {
		p.report(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = err
	switch {
	case !p.closed && p.locator.left(at):
		// If it moves after this look, sweep finds the conn, or whoever has it finds that it is not current.
		if err == nil {
			c.close()
		}
		return 0, true
	case err != nil && p.worthAnotherLocked(began, err):
		return connectAgainAfter, true
	}
	p.connecting--
	switch {
	case p.closed:
		if err == nil {
			c.close()
		}
	case err != nil:
		if len(p.waiting) > 0 {
			p.serveLocked(connResult{err: err})
		}
	default:
		p.latest.roundTrip.Store(int64(c.roundTrip))
		p.latest.boot.Store(&c.boot)
		p.all[c] = struct{}{}
		p.freeLocked(c)
	}
	return 0, false
}

// connectAgainAfter is the pause before another connection to a server that could not be reached. It ends at once when
// another has taken its place.
const connectAgainAfter = 100 * time.Millisecond

// worthAnotherLocked reports whether those who wait for a connection wait on, after an error. If they failed at once
// they would ask again after pauses that grow, and be late when another server takes the place. At first, in the
// course of Open, the error is of more use. It needs p.mu.
func (p *pool) worthAnotherLocked(began time.Time, err error) bool {
	return p.patient && !p.closed && len(p.waiting) > 0 && time.Since(began) < connectTimeout &&
		p.latest.boot.Load() != nil && errors.Is(Classify(context.Background(), err), driver.ErrUnavailable)
}

// sweep drops free connections to where the server is no more.
func (p *pool) sweep() {
	var gone []*conn
	p.mu.Lock()
	p.free = slices.DeleteFunc(p.free, func(c *conn) bool {
		left := p.locator.left(c.at)
		if left {
			gone = append(gone, c)
		}
		return left
	})
	p.mu.Unlock()
	for _, c := range gone {
		p.drop(c)
	}
}

// report logs whether a connection could be made.
func (p *pool) report(err error) {
	switch {
	case p.contact == nil, p.closing.Err() != nil:
	case err != nil:
		var reply goredis.Error
		if errors.As(err, &reply) {
			_, err = withoutArguments(reply, err) // one may be the password
		}
		p.contact.Lost(err)
	default:
		p.contact.Reached()
	}
}

// put gives a conn back. If the other side has closed it (the connection was idle, the server
// has restarted, a proxy has switched servers), it has most likely closed the others as well.
// So put drops the free connections, too, and the next request gets a new one.
func (p *pool) put(c *conn) {
	if !c.broken() && p.current(c) {
		p.mu.Lock()
		p.freeLocked(c)
		p.mu.Unlock()
		return
	}
	gone := []*conn{c}
	if c.closedByServer() {
		p.mu.Lock()
		gone = append(gone, p.free...)
		p.free = nil
		p.mu.Unlock()
	}
	for _, c := range gone {
		p.drop(c)
	}
}

func (p *pool) drop(c *conn) {
	p.mu.Lock()
	delete(p.all, c)
	p.mu.Unlock()
	c.close()
}

// freeLocked gives a conn to the request that has waited longest, or keeps it. It needs p.mu.
func (p *pool) freeLocked(c *conn) {
	if len(p.waiting) > 0 {
		p.serveLocked(connResult{conn: c})
	} else {
		p.free = append(p.free, c)
	}
}

func (p *pool) serveLocked(r connResult) {
	p.waiting[0] <- r
	p.waiting = slices.Delete(p.waiting, 0, 1)
}

// shutDown ends all commands under way, and lets none begin.
func (p *pool) shutDown() {
	p.stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for len(p.waiting) > 0 {
		p.serveLocked(connResult{err: goredis.ErrClosed})
	}
	for _, c := range p.free {
		delete(p.all, c)
		c.close()
	}
	for c := range p.all {
		c.closeSocket() // the goroutine that uses it closes it
	}
	p.all, p.free = nil, nil
}
