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

// conn is one connection to the server. One goroutine at a time uses it; a conn that breaks is
// not used again. go-redis blocks until a reply comes or a deadline passes, whatever happens to
// the context. A conn keeps the socket itself, so that the end of a context can end its reads and
// writes.
type conn struct {
	client    *goredis.Client // uses this connection only
	raw       net.Conn
	roundTrip time.Duration // what a round trip took when the conn was new
	boot      string        // the run_id of the server; "" if it was not asked, or does not tell
	used      time.Time     // when its last command began
	idle      bool          // nothing was sent on it for a while before the command under way

	ctx         context.Context  // of the command under way
	slow        *time.Timer      // runs watch when the command takes long
	watching    chan func() bool // told by watch: the stop function of interrupted
	interrupted chan struct{}    // told when ctx has ended

	mu         sync.Mutex
	expired    bool // every deadline counts as past, whatever go-redis sets
	closed     bool // by go-redis after an error, or by this package
	peerClosed bool // by the server, or something on the way
}

// connectTimeout bounds each of the two steps in which a connection is made: to dial, with
// TLS; and to log in.
const connectTimeout = 5 * time.Second

// connect makes a conn. With tellBoot it asks which process of the server the conn leads to.
func connect(ctx context.Context, conf goredis.Options, tellBoot bool) (*conn, error) {
	raw, err := dial(ctx, conf)
	if err != nil {
		return nil, err
	}
	c := &conn{raw: raw, used: time.Now(), watching: make(chan func() bool, 1), interrupted: make(chan struct{}, 1)}
	c.slow = time.AfterFunc(time.Hour, c.watch)
	c.slow.Stop()
	taken := false
	conf.Dialer = func(context.Context, string, string) (net.Conn, error) {
		if taken {
			return nil, net.ErrClosed // a conn that broke is not dialled again
		}
		taken = true
		return &deadlineConn{Conn: raw, conn: c}, nil
	}
	// go-redis introduces itself to the server in the course of the first command.
	var ready time.Time
	theirs := conf.OnConnect
	conf.OnConnect = func(ctx context.Context, theirConn *goredis.Conn) error {
		if theirs != nil {
			if err := theirs(ctx, theirConn); err != nil {
				return err
			}
		}
		ready = time.Now()
		return nil
	}
	c.client = goredis.NewClient(&conf)
	first := goredis.NewCmd(ctx, "ping")
	if tellBoot {
		first = goredis.NewCmd(ctx, "info", "server")
	}
	err = c.process(ctx, time.Now(), connectTimeout, first)
	if c.broken() || ready.IsZero() { // what else the server says does not matter
		c.close()
		asked := conf.CredentialsProviderContext != nil || conf.CredentialsProvider != nil
		if asked && goredis.HasErrorPrefix(err, "WRONGPASS") {
			err = fmt.Errorf("%w: %w", errCredentials, err)
		}
		return nil, err
	}
	c.roundTrip = time.Since(ready)
	if info, err := first.Text(); tellBoot && err == nil {
		c.boot = parseInfo(info)["run_id"]
	}
	return c, nil
}

func dial(ctx context.Context, conf goredis.Options) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	raw, err := conf.Dialer(ctx, conf.Network, conf.Addr)
	if err != nil && ctx.Err() != nil {
		return nil, tooLate("connecting to "+conf.Addr+": no answer", connectTimeout, 0)
	}
	return raw, err
}

// process runs a command that begins now, until ctx ends. If it does, the outcome is
// not known, and the connection is given up.
func (c *conn) process(ctx context.Context, now time.Time, timeout time.Duration, cmd goredis.Cmder) error {
	if ctx.Done() == nil {
		return c.judge(c.client.Process(c.begin(ctx, now, timeout), cmd), timeout)
	}
	c.ctx = ctx
	c.slow.Reset(watchAfter)
	err := c.client.Process(c.begin(ctx, now, timeout), cmd)
	if c.slow.Stop() {
		return c.judge(err, timeout)
	}
	// watch has begun.
	if stop := <-c.watching; !stop() {
		// The context ended. If the reply had come first it counts, and the
		// connection is as good as before; if not, go-redis has dropped it.
		<-c.interrupted
		c.interrupt(false)
		if err != nil {
			return context.Cause(ctx)
		}
	}
	return c.judge(err, timeout)
}

// begin makes the context of a command that begins now.
func (c *conn) begin(ctx context.Context, now time.Time, timeout time.Duration) deadline {
	c.idle = isIdle(c, now)
	c.used = now
	return deadline{ctx, now.Add(timeout)}
}

// isIdle reports whether c has not been used for a second. No known server or proxy closes
// idle connections sooner.
func isIdle(c *conn, now time.Time) bool { return now.Sub(c.used) >= time.Second }

// judge notes what an error of go-redis means for c, and returns the error that the caller gets: for
// a request that took too long, one that names the time.
func (c *conn) judge(err error, timeout time.Duration) error {
	if err == nil {
		return nil
	}
	var reply goredis.Error
	var network net.Error
	switch {
	case errors.As(err, &reply):
		if goredis.HasErrorPrefix(err, "NOAUTH") {
			c.close() // its login has run out; the next connection has a new one
		}
	case errors.As(err, &network) && network.Timeout():
		return tooLate("no answer", timeout, c.roundTrip)
	case closedByPeer(err):
		c.mu.Lock()
		c.peerClosed = true
		c.mu.Unlock()
		if c.idle {
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

// watchAfter is how long a command runs before anybody looks at its context. Most
// are done by then, and a timer that is set and stopped costs a fifth of watching a
// context.
const watchAfter = 2 * time.Millisecond

// watch interrupts the command when its context ends, now or later.
func (c *conn) watch() {
	c.watching <- context.AfterFunc(c.ctx, func() {
		c.interrupt(true)
		c.interrupted <- struct{}{}
	})
}

// interrupt ends reads and writes on the connection, until it is taken back.
func (c *conn) interrupt(expired bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expired = expired
	if expired {
		_ = c.raw.SetDeadline(past) // it is closed if this fails
	}
}

var past = time.Unix(1, 0)

// close closes the socket and the client. No command is under way.
func (c *conn) close() {
	c.closeSocket()
	_ = c.client.Close()
}

// closeSocket ends a connection that another goroutine may be using. It does not close the client:
// go-redis writes to its log if its client is closed during a command.
func (c *conn) closeSocket() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	_ = c.raw.Close() // its error does not matter: the socket may be broken, or closed before
}

func (c *conn) broken() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// closedByServer reports whether the other side has closed it.
func (c *conn) closedByServer() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.peerClosed
}

// deadlineConn is the socket of a conn as go-redis sees it. It makes every deadline pass when the
// conn is interrupted. It also hides the socket's descriptor, so that go-redis does not peek at the
// socket before each command to find out whether the server has closed it: conn.open does so after a
// pause only.
type deadlineConn struct {
	net.Conn
	conn *conn
}

func (c *deadlineConn) SetDeadline(t time.Time) error     { return c.set(c.Conn.SetDeadline, t) }
func (c *deadlineConn) SetReadDeadline(t time.Time) error { return c.set(c.Conn.SetReadDeadline, t) }

func (c *deadlineConn) SetWriteDeadline(t time.Time) error { return c.set(c.Conn.SetWriteDeadline, t) }

func (c *deadlineConn) set(setDeadline func(time.Time) error, t time.Time) error {
	c.conn.mu.Lock()
	defer c.conn.mu.Unlock()
	if c.conn.expired {
		t = past
	}
	return setDeadline(t)
}

func (c *deadlineConn) Close() error {
	c.conn.mu.Lock()
	c.conn.closed = true
	c.conn.mu.Unlock()
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
