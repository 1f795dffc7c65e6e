package zkbench

import (
	"context"
	"errors"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/bench/internal/contest"
)

const rawParent = "/bench-raw"

// raw is the least that a lock on ZooKeeper can cost: one node of a fixed name for each lock, which its session keeps alive.
func raw(addr string) contest.Contestant {
	return contest.Contestant{
		Name:   rawName,
		Bare:   true,
		Renews: true,
		Waits:  "is woken with all others, by a watch on the node",
		// Each release makes work for all that are left.
		MaxLine: 256,
		Open: func(ctx context.Context, o contest.Options) (contest.Client, error) {
			c, err := connect(ctx, addr, o)
			if err != nil {
				return nil, err
			}
			if _, err := c.Create(rawParent, nil, 0, zk.WorldACL(zk.PermAll)); err != nil && !errors.Is(err, zk.ErrNodeExists) {
				c.Close()
				return nil, err
			}
			return rawClient{c}, nil
		},
	}
}

type rawClient struct{ zk *zk.Conn }

func (c rawClient) Lock(ctx context.Context, key string) (contest.Held, error) {
	node := path(rawParent, key)
	for {
		_, err := c.zk.Create(node, nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll))
		if err == nil {
			return rawHeld{c.zk, node}, nil
		}
		if !errors.Is(err, zk.ErrNodeExists) {
			return nil, err
		}
		exists, _, changed, err := c.zk.ExistsW(node)
		if err != nil {
			return nil, err
		}
		if !exists {
			continue // freed in between
		}
		select {
		case e := <-changed:
			if e.Err != nil {
				return nil, e.Err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c rawClient) Close() error {
	c.zk.Close()
	return nil
}

type rawHeld struct {
	zk   *zk.Conn
	node string
}

func (h rawHeld) Release(context.Context) error { return h.zk.Delete(h.node, -1) }
