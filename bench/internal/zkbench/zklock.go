package zkbench

import (
	"context"
	"sync/atomic"

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
