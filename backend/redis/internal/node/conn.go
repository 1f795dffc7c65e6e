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
// writes. It sets the deadlines of the socket, too, and does so only for a command that takes long.
type conn struct {
	client    *goredis.Client // uses this connection only
	raw       net.Conn
	at        *location     // where the server was when the conn was made
	forget    func() bool   // has the end of the location close the conn no more; nil if it does not
	roundTrip time.Duration // what a round trip took when the conn was new
	boot      string        // the run_id of the server; "" if it was not asked, or does not tell
	used      time.Time     // when its last command began
	idle      bool          // nothing was sent on it for a while before the command under way

	slow        *time.Timer   // runs watch some time after a command has begun
	interrupted chan struct{} // told when ctx has ended a command that is watched

	mu         sync.Mutex
	ticking    bool            // slow will run watch
	busy       bool            // a command is under way that is not watched
	ctx        context.Context // of the command under way; nil if there is none
	until      time.Time       // when its time is over
	stop       func() bool     // of a command that is watched: its end of ctx comes no more; nil if there is none
	closed     bool            // by go-redis after an error, or by this package
	peerClosed bool            // by the server, or something on the way
}

// connectTimeout bounds each of the two steps in which a connection is made: to dial, with
// TLS; and to log in.
const connectTimeout = 5 * time.Second

// connect makes a conn to where the server is, and returns that, too, where it is known. With tellBoot it asks which
// process of the server the conn leads to.
func connect(ctx context.Context, l *locator, conf goredis.Options, tellBoot bool) (*conn, *location, error) {
	at, raw, err := l.dial(ctx, conf)
	if err != nil {
		return nil, at, err
	}
	c := &conn{raw: raw, at: at, used: time.Now(), interrupted: make(chan struct{}, 1)}
	if l.place != nil {
		conf.Addr = at.addr
		c.forget = context.AfterFunc(at.over, c.closeSocket)
	}
	c.slow = time.AfterFunc(time.Hour, c.watch)
	c.slow.Stop()
	taken := false
	conf.Dialer = func(context.Context, string, string) (net.Conn, error) {
		if taken {
			return nil, net.ErrClosed // a conn that broke is not dialled again
		}
		taken = true
		return &socket{Conn: raw, conn: c}, nil
	}
	conf.ReadTimeout, conf.WriteTimeout = -2, -2 // go-redis sets no deadlines
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
	now := time.Now()
	err = c.process(deadline{ctx, now.Add(connectTimeout)}, now, connectTimeout, first)
	if c.broken() || ready.IsZero() { // what else the server says does not matter
		c.close()
		if err == nil {
			err = net.ErrClosed // since then
		}
		err = l.failed(ctx, at, err)
		asked := conf.CredentialsProviderContext != nil || conf.CredentialsProvider != nil
		if asked && goredis.HasErrorPrefix(err, "WRONGPASS") {
			err = fmt.Errorf("%w: %w", errCredentials, err)
		}
		return nil, at, err
	}
	c.roundTrip = time.Since(ready)
	if info, err := first.Text(); tellBoot && err == nil {
		c.boot = parseInfo(info)["run_id"]
	}
	return c, at, nil
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
	c.begin(ctx, now, timeout)
	err := c.client.Process(ctx, cmd)
	if c.end() && err != nil {
		return context.Cause(ctx)
	}
	return c.judge(err, timeout)
}

// watchAfter is how long a command runs before anybody looks at its context, and its time. Most
// are done by then. A timer that is set and stopped for each command costs more than to have it look
// every 10 ms while there are commands, for it wakes the thread that waits for the network; and
// so do the deadlines of a socket, of which there are two.
const watchAfter = 10 * time.Millisecond

// begin notes that a command begins now. It ends with end, in any case.
func (c *conn) begin(ctx context.Context, now time.Time, timeout time.Duration) {
	c.idle = isIdle(c, now)
	c.mu.Lock()
	c.used, c.ctx, c.until, c.busy = now, ctx, now.Add(timeout), true
	begins := !c.ticking
	c.ticking = true
	c.mu.Unlock()
	if begins {
		c.slow.Reset(watchAfter)
	}
}

// watch has reads and writes end when the time of the command is over, and at once when its context
// ends, now or later; if the command takes long.
func (c *conn) watch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ticking = c.busy; !c.busy {
		return
	}
	if left := watchAfter - time.Since(c.used); left > 0 {
		c.slow.Reset(left)
		return
	}
	c.ticking, c.busy = false, false
	_ = c.raw.SetDeadline(c.until) // it is closed if this fails
	c.stop = context.AfterFunc(c.ctx, func() {
		_ = c.raw.SetDeadline(past)
		c.interrupted <- struct{}{}
	})
}

var past = time.Unix(1, 0)

// end ends what begin has begun, and reports whether the context has ended meanwhile. go-redis is done
// with the command.
//
// If watch comes later, it finds no command, and the socket has no deadline. If it came first, the deadline
// is taken back when nobody can set it any more: the function that ends the command with its context is
// stopped here, or has run. If it has, the reply may have come first all the same: then it counts, and
// the connection is as good as before. If it did not, go-redis has dropped the connection.
func (c *conn) end() (interrupted bool) {
	c.mu.Lock()
	stop := c.stop
	c.busy, c.ctx, c.stop = false, nil, nil
	c.mu.Unlock()
	if stop == nil {
		return false
	}
	if !stop() {
		<-c.interrupted
		interrupted = true
	}
	_ = c.raw.SetDeadline(time.Time{}) // it is closed if this fails
	return interrupted
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

// close closes the socket and the client. No command is under way.
func (c *conn) close() {
	if c.forget != nil {
		c.forget()
	}
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

// socket is the socket of a conn as go-redis sees it. It hides the descriptor, so that go-redis does not
// peek at the socket before each command to find out whether the server has closed it: conn.open does so
// after a pause only. And it ignores deadlines while a command is under way: go-redis takes a deadline away
// in the course of a command, which may come after watch has set it.
type socket struct {
	net.Conn
	conn *conn
}

func (s *socket) SetDeadline(t time.Time) error      { return s.set(s.Conn.SetDeadline, t) }
func (s *socket) SetReadDeadline(t time.Time) error  { return s.set(s.Conn.SetReadDeadline, t) }
func (s *socket) SetWriteDeadline(t time.Time) error { return s.set(s.Conn.SetWriteDeadline, t) }

func (s *socket) set(setDeadline func(time.Time) error, t time.Time) error {
	s.conn.mu.Lock()
	underWay := s.conn.ctx != nil
	s.conn.mu.Unlock()
	if underWay {
		return nil
	}
	return setDeadline(t)
}

func (s *socket) Close() error {
	s.conn.mu.Lock()
	s.conn.closed = true
	s.conn.mu.Unlock()
	return s.Conn.Close()
}

// deadline is a context with a deadline, for what go-redis asks in the course of connecting: a function of
// the application for credentials may look at it.
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
