package etcd

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// place is where a claim stands.
type place struct {
	ahead
	revision int64 // of the server's data at that time
}

func (p *place) first() bool { return len(p.claims) == 0 && !p.more }

// look asks where a claim stands, by data not older than a revision.
//
// Any member may answer, without asking the others, and grant the lock by that. For
// that a claim is first does not change any more: claims are only ever deleted, or
// made with a higher revision. And the data that has our claim is not older than
// it, so that no older claim can be missing in it but by having been deleted. What
// it may not tell is that our own claim has just gone; the time of the lease covers
// that, as for any holder.
//
// With sure set a majority answers: a member that is cut off from the others, or a proxy,
// which keeps such answers, would say the same again and again.
func (b *backend) look(ctx context.Context, c *claim, s *session, revision int64, sure bool) (p place, err error) {
	var own bool
	if !sure {
		p, own, err = b.lookOnce(ctx, c, s, clientv3.WithSerializable())
	}
	if sure || err == nil && (!own || p.revision < revision) { // this member is behind, or our claim is gone
		p, own, err = b.lookOnce(ctx, c, s)
	}
	switch {
	case err != nil:
		return place{}, err
	case !own:
		b.mu.Lock()
		c.revision, c.granted = 0, false
		b.mu.Unlock()
		return place{}, errClaimGone
	}
	return p, nil
}

func (b *backend) lookOnce(ctx context.Context, c *claim, s *session, opts ...clientv3.OpOption) (p place, own bool, err error) {
	b.mu.Lock()
	revision := c.revision
	b.mu.Unlock()
	opts = append(opts, clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithMaxCreateRev(revision),
		clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortDescend), clientv3.WithLimit(1+watched))
	p.looked = time.Now()
	answer, err := read(ctx, b, s.ttl, func(ctx context.Context) (*clientv3.GetResponse, error) {
		return b.client.Get(ctx, b.prefix(c.key), opts...)
	})
	if err != nil {
		return place{}, false, err
	}
	p.revision = answer.Header.Revision
	if revision == 0 || len(answer.Kvs) == 0 || answer.Kvs[0].CreateRevision != revision {
		return p, false, nil
	}
	p.more = answer.More
	for _, kv := range answer.Kvs[1:] {
		p.claims = append(p.claims, older{string(kv.Key), kv.CreateRevision})
	}
	return p, true, nil
}
