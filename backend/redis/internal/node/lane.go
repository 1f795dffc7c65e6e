package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// lane is one connection that one goroutine at a time uses, from when it has been made
// to when it breaks. go-redis blocks until a reply comes or a deadline passes, whatever
// happens to the context; here the connection is at hand, so that the end of a context
// can end its reads and writes.
type lane struct {
	client *goredis.Client // has this connection only
	conn   net.Conn
	trip   time.Duration // that a round trip took when it was new
	boot   string        // the run_id of the server; "" if it was not asked, or does not tell
	used   time.Time     // when its last command began
	idle   bool          // nothing was sent on it for a while before the command under way

	ctx         context.Context  // of the command under way
	slow        *time.Timer      // runs watch when the command takes long
	watching    chan func() bool // told by watch: the stop function of interrupted
	interrupted chan struct{}    // told when ctx has ended

	mu     sync.Mutex
	cut    bool // its deadlines have passed, whatever go-redis sets
	closed bool // by go-redis after an error, or by us
	left   bool // by the server, or something on the way
}

// connectTimeout bounds each of the two steps in which a connection is made: to dial, with
// TLS; and to log in.
const connectTimeout = 5 * time.Second

// connect makes a lane, which with tellBoot knows which process of the server it leads to.
func connect(ctx context.Context, conf goredis.Options, tellBoot bool) (*lane, error) {
	conn, err := dial(ctx, conf)
	if err != nil {
		return nil, err
	}
	l := &lane{conn: conn, used: time.Now(), watching: make(chan func() bool, 1), interrupted: make(chan struct{}, 1)}
	l.slow = time.AfterFunc(time.Hour, l.watch)
	l.slow.Stop()
	taken := false
	conf.Dialer = func(context.Context, string, string) (net.Conn, error) {
		if taken {
			return nil, net.ErrClosed // a lane that broke is not used again
		}
		taken = true
		return &line{Conn: conn, lane: l}, nil
	}
	// go-redis introduces itself to the server in the course of the first command.
	var ready time.Time
	theirs := conf.OnConnect
	conf.OnConnect = func(ctx context.Context, c *goredis.Conn) error {
		if theirs != nil {
			if err := theirs(ctx, c); err != nil {
				return err
			}
		}
		ready = time.Now()
		return nil
	}
	l.client = goredis.NewClient(&conf)
	first := goredis.NewCmd(ctx, "ping")
	if tellBoot {
		first = goredis.NewCmd(ctx, "info", "server")
	}
	err = l.process(ctx, time.Now(), connectTimeout, first)
	if l.broken() || ready.IsZero() { // what else the server says does not matter
		l.close()
		asked := conf.CredentialsProviderContext != nil || conf.CredentialsProvider != nil
		if asked && goredis.HasErrorPrefix(err, "WRONGPASS") {
			err = fmt.Errorf("%w: %w", errCredentials, err)
		}
		return nil, err
	}
	l.trip = time.Since(ready)
	if info, err := first.Text(); tellBoot && err == nil {
		l.boot = parseInfo(info)["run_id"]
	}
	return l, nil
}

func dial(ctx context.Context, conf goredis.Options) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := conf.Dialer(ctx, conf.Network, conf.Addr)
	if err != nil && ctx.Err() != nil {
		return nil, tooLate("connecting to "+conf.Addr+": no answer", connectTimeout, 0)
	}
	return conn, err
}

// process runs a command that begins now, until ctx ends. If it does, the outcome is
// not known, and the connection is given up.
func (l *lane) process(ctx context.Context, now time.Time, timeout time.Duration, cmd goredis.Cmder) error {
	if ctx.Done() == nil {
		return l.judge(l.client.Process(l.begin(ctx, now, timeout), cmd), timeout)
	}
	l.ctx = ctx
	l.slow.Reset(patience)
	err := l.client.Process(l.begin(ctx, now, timeout), cmd)
	if l.slow.Stop() {
		return l.judge(err, timeout)
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
	return l.judge(err, timeout)
}

// begin makes the context of a command that begins now.
func (l *lane) begin(ctx context.Context, now time.Time, timeout time.Duration) deadline {
	l.idle = isIdle(l, now)
	l.used = now
	return deadline{ctx, now.Add(timeout)}
}

// isIdle reports whether a lane has not been used for a while. No server or proxy that
// we know closes idle connections sooner.
func isIdle(l *lane, now time.Time) bool { return now.Sub(l.used) >= time.Second }

// judge says what an error of go-redis means for the lane, and tells a request that took
// too long in words of our own.
func (l *lane) judge(err error, timeout time.Duration) error {
	if err == nil {
		return nil
	}
	var reply goredis.Error
	var network net.Error
	switch {
	case errors.As(err, &reply):
		if goredis.HasErrorPrefix(err, "NOAUTH") {
			l.close() // its login has run out; the next connection has a new one
		}
	case errors.As(err, &network) && network.Timeout():
		return tooLate("no answer", timeout, l.trip)
	case closedByPeer(err):
		l.mu.Lock()
		l.left = true
		l.mu.Unlock()
		if l.idle {
			return fmt.Errorf("%w: %w", ErrStale, err)
		}
	}
	return err
}

func closedByPeer(err error) bool {
	for _, sign := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, sign) {
			return true
		}
	}
	return false
}

// silent is an ErrNoAnswer that says more.
type silent string

func (s silent) Error() string        { return string(s) }
func (s silent) Is(target error) bool { return target == ErrNoAnswer }

// tooLate is the error of a request that got nothing in its time, which is a third of a
// TTL or less; trip is what a round trip has taken, or zero.
func tooLate(what string, timeout, trip time.Duration) error {
	text := fmt.Sprintf("%s within %v", what, timeout.Round(time.Millisecond))
	if trip > timeout/2 {
		text += fmt.Sprintf(", while a round trip to the server took %v: the TTL must be several times that", trip.Round(time.Millisecond))
	}
	return silent(text)
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
	if cut {
		_ = l.conn.SetDeadline(past) // it is closed if this fails
	}
}

var past = time.Unix(1, 0)

// close gives the connection up. No command is under way.
func (l *lane) close() {
	l.hangUp()
	_ = l.client.Close()
}

// hangUp ends the connection of a lane that somebody else may be using. To close go-redis' client under a
// command would make it write to its log.
func (l *lane) hangUp() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	_ = l.conn.Close() // it may be broken, or closed before; and go-redis may not have taken it over
}

func (l *lane) broken() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// wasLeft reports whether the other side has closed it.
func (l *lane) wasLeft() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.left
}

// line is a connection of a lane. It hides what go-redis would look for in it: a
// peek at the socket before each command, to find out that the server has closed
// it. We do that only after a pause: see open.
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

func (c *line) Close() error {
	c.lane.mu.Lock()
	c.lane.closed = true
	c.lane.mu.Unlock()
	return c.Conn.Close()
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
