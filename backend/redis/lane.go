package redis

import (
	"context"
	"net"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// lane is one connection that one goroutine at a time uses. go-redis blocks until
// a reply comes or a deadline passes, whatever happens to the context; here the
// connection is at hand, so that the end of a context can end its reads and
// writes.
//
// A lane of a client that the application brought is that client, with all its
// connections, and cannot be interrupted.
type lane struct {
	client *goredis.Client

	ctx         context.Context  // of the command under way
	slow        *time.Timer      // runs watch when the command takes long
	watching    chan func() bool // told by watch: the stop function of interrupted
	interrupted chan struct{}    // told when ctx has ended

	mu    sync.Mutex
	conn  net.Conn  // the last one that was made; nil before
	until time.Time // when the command under way must have ended
	cut   bool      // its deadlines have passed, whatever go-redis sets
}

// newLane makes a lane with the options of a client.
func newLane(opt goredis.Options) *lane {
	l := &lane{watching: make(chan func() bool, 1), interrupted: make(chan struct{}, 1)}
	l.slow = time.AfterFunc(time.Hour, l.watch)
	l.slow.Stop()
	dial := goredis.NewDialer(&opt)
	opt.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		l.mu.Lock()
		until := l.until
		l.mu.Unlock()
		ctx, cancel := context.WithDeadline(ctx, until)
		defer cancel()
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.conn = conn
		return &line{Conn: conn, lane: l}, nil
	}
	opt.PoolSize, opt.PipelinePoolSize = 1, -1
	opt.MaxRetries = -1 // a client's own options say 0 here, which is taken for 3
	opt.Protocol = 2    // nothing is pushed on a lane
	l.client = goredis.NewClient(&opt)
	return l
}

// process runs a command until ctx ends. If it does, the outcome is not known,
// and the connection is given up.
func (l *lane) process(ctx context.Context, timeout time.Duration, cmd goredis.Cmder) error {
	if ctx.Done() == nil {
		return l.client.Process(l.within(ctx, timeout), cmd)
	}
	l.ctx = ctx
	l.slow.Reset(patience)
	err := l.client.Process(l.within(ctx, timeout), cmd)
	if l.slow.Stop() {
		return err
	}
	// watch has begun.
	if stop := <-l.watching; !stop() {
		// The context ended. If the reply had come first it counts, and the
		// connection is as good as before; if not, go-redis has dropped it.
		<-l.interrupted
		l.interrupt(false)
		if err != nil {
			return context.Cause(ctx)
		}
	}
	return err
}

// within makes the context of a command that begins now. Its deadline holds for
// dialling, too, which go-redis does apart from the command.
func (l *lane) within(ctx context.Context, timeout time.Duration) deadline {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = time.Now().Add(timeout)
	return deadline{ctx, l.until}
}

// patience is how long a command runs before anybody looks at its context. Most
// are done by then, and a timer that is set and stopped costs a fifth of watching a
// context.
const patience = 2 * time.Millisecond

// watch interrupts the command when its context ends, now or later.
func (l *lane) watch() {
	l.watching <- context.AfterFunc(l.ctx, func() {
		l.interrupt(true)
		l.interrupted <- struct{}{}
	})
}

// interrupt ends reads and writes on the connection, until it is taken back.
func (l *lane) interrupt(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	if cut && l.conn != nil {
		_ = l.conn.SetDeadline(past) // it is closed if this fails
	}
}

var past = time.Unix(1, 0)

// line is a connection of a lane. It hides what go-redis would look for in it: a
// peek at the socket before each command, to find out that the server has closed
// it. The command finds out as well, and is asked again like any other that got
// no answer.
type line struct {
	net.Conn
	lane *lane
}

func (c *line) SetDeadline(t time.Time) error      { return c.set(c.Conn.SetDeadline, t) }
func (c *line) SetReadDeadline(t time.Time) error  { return c.set(c.Conn.SetReadDeadline, t) }
func (c *line) SetWriteDeadline(t time.Time) error { return c.set(c.Conn.SetWriteDeadline, t) }

func (c *line) set(setDeadline func(time.Time) error, t time.Time) error {
	c.lane.mu.Lock()
	defer c.lane.mu.Unlock()
	if c.lane.cut {
		t = past
	}
	return setDeadline(t)
}

// deadline is a context with a deadline, which is all that go-redis looks at for
// a connection; a timer for each command would be wasted.
type deadline struct {
	context.Context
	at time.Time
}

func (d deadline) Deadline() (time.Time, bool) {
	if at, ok := d.Context.Deadline(); ok && at.Before(d.at) {
		return at, true
	}
	return d.at, true
}
