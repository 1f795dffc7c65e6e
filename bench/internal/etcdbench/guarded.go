package etcdbench

import (
	"context"
	"errors"
	"strconv"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/bench/internal/contest"
)

// guarded is the least that a lock on etcd can cost that has a queue, keeps out late packets and
// frees nobody else's lock: the two transactions of fencelock, sent by themselves. The claim is
// conditional on a key of the session, and counts those before it; the release is conditional on
// the revision that made the claim.
func guarded(addr string) contest.Contestant {
	return contest.Contestant{
		Name: guardedName, Bare: true, Floor: true, Renews: true, Token: true, Waits: "not at all",
		Open: func(ctx context.Context, o contest.Options) (contest.Client, error) {
			c, err := connect(addr, o.Dial)
			if err != nil {
				return nil, err
			}
			g := &guardedClient{}
			if g.rawClient, err = newRaw(ctx, c, seconds(o.TTL)); err == nil {
				err = g.makeEpochKey(ctx)
			}
			if err != nil {
				_ = c.Close()
				return nil, err
			}
			return g, nil
		},
	}
}

// leaseName is how a key names a lease.
func leaseName(id clientv3.LeaseID) string { return strconv.FormatInt(int64(id), 16) }

type guardedClient struct {
	*rawClient
	epochKey string
	epoch    int64
}

func (c *guardedClient) makeEpochKey(ctx context.Context) error {
	c.epochKey = "bench-guarded/leases/" + leaseName(c.lease)
	made, err := c.etcd.Put(ctx, c.epochKey, "", clientv3.WithLease(c.lease))
	if err != nil {
		return err
	}
	c.epoch = made.Header.Revision
	return nil
}

func (c *guardedClient) Lock(ctx context.Context, key string) (contest.Held, error) {
	prefix := "bench-guarded/locks/" + key + "/"
	name := prefix + leaseName(c.lease)
	r, err := c.etcd.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(name), "=", 0), clientv3.Compare(clientv3.ModRevision(c.epochKey), "=", c.epoch)).
		Then(clientv3.OpGet(prefix, clientv3.WithPrefix(), clientv3.WithCountOnly()), clientv3.OpPut(name, "", clientv3.WithLease(c.lease))).
		Commit()
	switch {
	case err != nil:
		return nil, err
	case !r.Succeeded || r.Responses[0].GetResponseRange().Count > 0:
		return nil, errors.New("somebody else has the lock, and this waits for nobody")
	}
	return &guardedHeld{c.etcd, name, r.Header.Revision}, nil
}

type guardedHeld struct {
	etcd     *clientv3.Client
	name     string
	revision int64
}

func (h *guardedHeld) Release(ctx context.Context) error {
	r, err := h.etcd.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(h.name), "=", h.revision)).
		Then(clientv3.OpDelete(h.name)).
		Commit()
	if err == nil && !r.Succeeded {
		return errGone
	}
	return err
}
