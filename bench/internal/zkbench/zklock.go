package zkbench

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/bench/internal/contest"
)

const lockParent = "/bench-lock"

// zkLock is the lock in the library go-zookeeper. It leaves the parent node of each key behind.
func zkLock(addr string) contest.Contestant {
	return contest.Contestant{
		Name:   lockName,
		Bare:   true, // a lock is a node of its session and nothing else
		Renews: true,
		Waits:  "is woken in order, by a watch on the one before",
		Open: func(ctx context.Context, o contest.Options) (contest.Client, error) {
			c, err := connect(ctx, addr, o)
			if err != nil {
				return nil, err
			}
			return &lockClient{zk: c}, nil
		},
	}
}

type lockClient struct {
	zk      *zk.Conn
	givenUp atomic.Bool
}

// Lock cannot be told to stop waiting, so the end of ctx ends the session. The scenarios end it only when they are through
// with the client: then a lock that it still got goes with the session, and to release it is no error.
func (c *lockClient) Lock(ctx context.Context, key string) (contest.Held, error) {
	stop := context.AfterFunc(ctx, func() {
		c.givenUp.Store(true)
		c.zk.Close()
	})
	defer stop()
	l := zk.NewLock(c.zk, path(lockParent, key), zk.WorldACL(zk.PermAll))
	if err := l.Lock(); err != nil {
		return nil, err
	}
	return &lockHeld{l, c}, nil
}

func (c *lockClient) Close() error {
	c.zk.Close()
	return nil
}

type lockHeld struct {
	lock   *zk.Lock
	client *lockClient
}

func (h *lockHeld) Release(context.Context) error {
	if err := h.lock.Unlock(); err != nil && !h.client.givenUp.Load() {
		return err
	}
	return nil
}

// buffer is enough for the longest list of a thousand waiters. The library's default, twice 1.5 MB for each connection, would
// make such a line a matter of gigabytes.
const buffer = 256 << 10

// connect opens a connection with a session, and waits for the session.
func connect(ctx context.Context, addr string, o contest.Options) (*zk.Conn, error) {
	ready := make(chan struct{}, 1)
	dial := o.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	c, _, err := zk.Connect([]string{addr}, o.TTL,
		zk.WithLogger(quiet{}), zk.WithLogInfo(false), zk.WithMaxBufferSize(buffer), zk.WithMaxConnBufferSize(buffer),
		zk.WithDialer(func(network, address string, timeout time.Duration) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout) // it may connect again later
			defer cancel()
			return dial(ctx, network, address)
		}),
		zk.WithEventCallback(func(e zk.Event) {
			if e.State == zk.StateHasSession {
				select {
				case ready <- struct{}{}:
				default: // a later one: nobody waits any more
				}
			}
		}))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Second, fmt.Errorf("no session from ZooKeeper at %s", addr))
	defer cancel()
	select {
	case <-ready:
		return c, nil
	case <-ctx.Done():
		c.Close()
		return nil, context.Cause(ctx)
	}
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}

// path is a node directly below parent: a key may have slashes.
func path(parent, key string) string { return parent + "/" + url.PathEscape(key) }
