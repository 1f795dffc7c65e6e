package etcdbench

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/bench/internal/contest"
)

// raw is the least that a lock on etcd can cost: one key for each lock, put if it is not there, and deleted. It lives on
// one lease of its client. A release checks nothing, as that takes no more of a request than the key does.
func raw(addr string) contest.Contestant {
	return contest.Contestant{
		Name:   rawName,
		Bare:   true,
		Renews: true,
		Waits:  "is woken with all others, by a watch on the key",
		// Each release makes work for all that are left.
		MaxLine: 256,
		Open: func(ctx context.Context, o contest.Options) (contest.Client, error) {
			c, err := connect(addr, o.Dial)
			if err != nil {
				return nil, err
			}
			r, err := newRaw(ctx, c, seconds(o.TTL))
			if err != nil {
				_ = c.Close()
				return nil, err
			}
			return r, nil
		},
	}
}

type rawClient struct {
	etcd  *clientv3.Client
	lease clientv3.LeaseID
}

func newRaw(ctx context.Context, c *clientv3.Client, ttl int64) (*rawClient, error) {
	lease, err := c.Grant(ctx, ttl)
	if err != nil {
		return nil, err
	}
	alive, err := c.KeepAlive(context.WithoutCancel(ctx), lease.ID) // until the client is closed
	if err != nil {
		return nil, err
	}
	go func() {
		for range alive {
		}
	}()
	return &rawClient{etcd: c, lease: lease.ID}, nil
}

func (c *rawClient) Lock(ctx context.Context, key string) (contest.Held, error) {
	key = "bench-raw/" + key
	lost, err := c.try(ctx, key)
	if err != nil {
		return nil, err
	}
	if lost != 0 {
		if err := c.wait(ctx, key); err != nil {
			return nil, err
		}
	}
	return &rawHeld{etcd: c.etcd, key: key}, nil
}

// try returns 0 when it has taken the lock, else the revision at which somebody else had it.
func (c *rawClient) try(ctx context.Context, key string) (lost int64, err error) {
	r, err := c.etcd.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
		Then(clientv3.OpPut(key, "", clientv3.WithLease(c.lease))).
		Commit()
	if err != nil || r.Succeeded {
		return 0, err
	}
	return r.Header.Revision, nil
}

// wait takes the lock once it is free. The watch begins with what comes after its own creation, and not after the failed
// try: etcd serves a watch of the past only every 100 ms. What happened between the two is asked for.
func (c *rawClient) wait(ctx context.Context, key string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lost := int64(0)
	for r := range c.etcd.Watch(ctx, key, clientv3.WithCreatedNotify(), clientv3.WithFilterPut()) {
		if err := r.Err(); err != nil {
			return err
		}
		free := r.Created
		for _, e := range r.Events {
			// One that the last try has seen already says nothing new.
			free = free || (e.Type == mvccpb.Event_DELETE && e.Kv.ModRevision > lost)
		}
		if !free {
			continue
		}
		if r.Created {
			held, err := c.etcd.Get(ctx, key, clientv3.WithCountOnly())
			if err != nil {
				return err
			}
			if held.Count > 0 {
				lost = held.Header.Revision
				continue
			}
		}
		var err error
		if lost, err = c.try(ctx, key); err != nil || lost == 0 {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.New("the watch has ended")
}

func (c *rawClient) Close() error {
	_, _ = c.etcd.Revoke(context.Background(), c.lease) // what is not revoked ends with its TTL
	return c.etcd.Close()
}

type rawHeld struct {
	etcd *clientv3.Client
	key  string
}

func (h *rawHeld) Release(ctx context.Context) error {
	r, err := h.etcd.Delete(ctx, h.key)
	if err == nil && r.Deleted == 0 {
		return errGone
	}
	return err
}
