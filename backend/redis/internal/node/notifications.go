package node

import (
	"context"
	"fmt"
	"net"
	"sync"

	goredis "github.com/redis/go-redis/v9"
)

// subscription is a connection on which the server sends notifications.
type subscription struct {
	client  *goredis.Client
	sub     *goredis.PubSub
	running sync.WaitGroup // listen
}

// Subscribe begins to listen to a channel, until the node is closed, and returns when the server has
// confirmed it. If the connection breaks, it is made again. onMessage gets each message; Redis
// delivers at most once. onResubscribe is called when the subscription was broken and is back: messages sent
// meanwhile are lost, and the server may have lost its data. Both are called from one goroutine, in
// order, and must not block. After an error Subscribe may be called again, otherwise not.
//
// The error has been through Classify.
func (n *Node) Subscribe(ctx context.Context, channel string, onMessage func(payload string), onResubscribe func()) error {
	conf := n.conf
	// go-redis reconnects without a bound on dialling, and holds a lock meanwhile.
	conf.Dialer = func(ctx context.Context, _, _ string) (net.Conn, error) { return n.dial(ctx) }
	client := goredis.NewClient(&conf)
	s := &subscription{client: client, sub: client.Subscribe(ctx)}

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
	messages := s.sub.ChannelWithSubscriptions()
	s.running.Go(func() {
		for m := range messages {
			switch m := m.(type) {
			case *goredis.Message:
				onMessage(m.Payload)
			case *goredis.Subscription:
				n.contact.Reached()
				onResubscribe()
			}
		}
	})
	return nil
}

// dial connects for a subscription. The connection is closed when the node is.
func (n *Node) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(n.closing, cancel)() //nolint:contextcheck // both may end it
	conn, err := dial(ctx, n.conf)
	if err != nil {
		if n.closing.Err() == nil {
			n.contact.Lost(err) // also of a client that is idle
		}
		return nil, err
	}
	end := context.AfterFunc(n.closing, func() { _ = conn.Close() }) //nolint:contextcheck // it outlives the dialling
	return &nodeConn{conn, end}, nil
}

// nodeConn is a connection that is closed when the node is.
type nodeConn struct {
	net.Conn
	forget func() bool
}

func (c *nodeConn) Close() error {
	c.forget()
	return c.Conn.Close()
}

func (s *subscription) close() {
	_ = s.sub.Close()
	s.running.Wait()
	_ = s.client.Close()
}
