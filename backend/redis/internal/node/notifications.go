package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// subscription is a connection on which the server sends notifications. If it breaks, another is made: go-redis
// does so in the course of what is asked of sub next.
type subscription struct {
	node    *Node
	client  *goredis.Client
	sub     *goredis.PubSub
	conn    atomic.Pointer[listening] // the one that was dialled last
	from    *listening                // that the message came on which is delivered now; of listen
	running sync.WaitGroup            // listen and keep
}

// Subscribe begins to listen to a channel, until the node is closed, and returns when the server has
// confirmed it. If the connection breaks, it is made again. onMessage gets each message; Redis
// delivers at most once. onResubscribe is called when the subscription was broken and is back: messages sent
// meanwhile are lost, and the server may have lost its data. Both are called from one goroutine, in
// order, and must not block. After an error Subscribe may be called again, otherwise not.
//
// The error has been through Classify.
func (n *Node) Subscribe(ctx context.Context, channel string, onMessage func(payload string), onResubscribe func()) error {
	s := &subscription{node: n}
	conf := n.conf
	// go-redis reconnects without a bound on dialling, and holds a lock meanwhile.
	conf.Dialer = func(ctx context.Context, _, _ string) (net.Conn, error) { return s.dial(ctx) }
	s.client = goredis.NewClient(&conf)
	s.sub = s.client.Subscribe(ctx)

	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		s.close()
		return ErrClosed
	}
	n.sub = s
	n.mu.Unlock()

	_ = s.sub.Subscribe(ctx, channel) // Receive has its error
	_, err := s.sub.ReceiveTimeout(ctx, connectTimeout)
	if c := s.conn.Load(); err != nil && c != nil {
		err = n.locator.failed(ctx, c.at, err)
	}

	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.closed: // and Close ends it
		return ErrClosed
	case err != nil:
		n.sub = nil
		s.close()
		return fmt.Errorf("subscribing to %s: %w", channel, Classify(ctx, err))
	}
	s.conn.Load().works.Store(true)
	s.running.Go(func() { s.listen(onMessage, onResubscribe) })
	s.running.Go(s.keep)
	return nil
}

// resubscribeAfter is the pause between two attempts to subscribe again. It ends at once when the server has moved.
const resubscribeAfter = 100 * time.Millisecond

// listen delivers what comes. go-redis has a goroutine for that, and buffers what it has read: then nobody knows on
// which connection a message came.
func (s *subscription) listen(onMessage func(payload string), onResubscribe func()) {
	n := s.node
	failed := false // and nothing has come since
	for {
		at, before := n.locator.now.Load(), s.conn.Load()
		m, err := s.sub.Receive(context.Background())
		if n.closing.Err() != nil {
			return
		}
		if err != nil {
			s.broke(before, err)
			if failed {
				s.pause(at)
			}
			failed = true
			continue
		}
		failed = false
		// go-redis reads from the one that was dialled last, and dials in Receive only, before it reads.
		s.from = s.conn.Load()
		s.from.works.Store(true)
		switch m := m.(type) {
		case *goredis.Message:
			onMessage(m.Payload)
		case *goredis.Subscription:
			n.contact.Reached()
			onResubscribe()
		}
	}
}

// broke notes that nothing more comes on a connection.
func (s *subscription) broke(c *listening, err error) {
	var reply goredis.Error
	if errors.As(err, &reply) {
		// The server refuses to subscribe us. go-redis would wait on the connection for what never comes.
		_ = s.conn.Load().Conn.Close()
	}
	_ = s.node.locator.failed(s.node.closing, c.at, err) // only to be noted
}

// pause waits before another attempt to subscribe. at is where the server was when the last one began.
func (s *subscription) pause(at *location) {
	var again <-chan time.Time // never, if it is nowhere
	if at.addr != "" || s.node.locator.place == nil {
		timer := time.NewTimer(resubscribeAfter)
		defer timer.Stop()
		again = timer.C
	}
	select {
	case <-again:
	case <-at.over.Done():
	case <-s.node.closing.Done():
	}
}

// keep asks for a sign of life where nothing comes. That keeps proxies from forgetting the connection, and shows
// when it is dead: then the Place is told, and in the end another connection is made. It writes to the connection
// itself: go-redis would first wait for the lock that it holds while it connects. Once the connection works, nobody
// else writes.
func (s *subscription) keep() {
	n := s.node
	var of *listening   // that was asked,
	var asked time.Time // when: if nothing has come since
	for {
		every := 3 * time.Second
		if place := n.locator.place; place != nil {
			every = min(every, max(place.Silence(), resubscribeAfter))
		}
		select {
		case <-time.After(every):
		case <-n.closing.Done():
			return
		}
		c, now := s.conn.Load(), time.Now()
		switch came := c.came(); {
		case !c.works.Load() || now.Sub(came) < every:
		case c != of || !came.Before(asked):
			of, asked = c, now
			_ = c.SetWriteDeadline(now.Add(connectTimeout))
			_, _ = io.WriteString(c.Conn, "*1\r\n$4\r\nping\r\n") // listen has the answer, or the error
		default:
			_ = n.locator.failed(n.closing, c.at, ErrNoAnswer) // only to be noted
			if now.Sub(asked) >= connectTimeout {
				_ = c.Conn.Close()
			}
		}
	}
}

// listening is a connection of a subscription. It is closed when the node is, or the server has moved.
type listening struct {
	net.Conn
	at     *location
	forget func() bool
	works  atomic.Bool // something came by which it is known to be subscribed
	made   time.Time
	last   atomic.Int64 // when something came; a time.Duration since made
}

// dial connects for a subscription.
func (s *subscription) dial(ctx context.Context) (net.Conn, error) {
	n := s.node
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(n.closing, cancel)()
	at, conn, err := n.locator.dial(ctx, n.conf)
	if err != nil {
		if n.closing.Err() == nil && !n.locator.left(at) {
			n.contact.Lost(err) // also of a client that is idle
		}
		return nil, err
	}
	c := &listening{Conn: conn, at: at, made: time.Now()}
	c.forget = context.AfterFunc(at.over, func() { _ = conn.Close() })
	s.conn.Store(c)
	return c, nil
}

func (c *listening) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.last.Store(int64(time.Since(c.made)))
	}
	return n, err
}

func (c *listening) Close() error {
	c.forget()
	return c.Conn.Close()
}

// came is when something came last, or when it was made.
func (c *listening) came() time.Time { return c.made.Add(time.Duration(c.last.Load())) }

func (s *subscription) close() {
	_ = s.sub.Close()
	s.running.Wait()
	_ = s.client.Close()
}
