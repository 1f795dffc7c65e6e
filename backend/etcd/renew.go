package etcd

import (
	"context"
	"errors"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/driver"
)

// checkTogether is how many claims one request asks about: as many operations as
// the server allows in a transaction, by default.
const checkTogether = 128

var errForeign = errors.New("etcd: the grant is another backend's")

// Renew extends grants, by one keep-alive for all of a session, and asks the
// server whether each is still there: the lease says nothing of a key that somebody
// has deleted.
func (b *backend) Renew(ctx context.Context, grants []driver.Grant) []driver.Renewal {
	out := make([]driver.Renewal, len(grants))
	bySession := make(map[*session][]int)
	claims := make([]*claim, len(grants))
	b.mu.Lock()
	for i, g := range grants {
		c := b.claims[g.Owner]
		switch {
		case c != nil && c.key == g.Key:
		case c == nil && g.Handle != nil && !b.made(g):
			out[i].Err = errForeign
			continue
		default:
			out[i].Err = driver.ErrNotHeld
			continue
		}
		claims[i] = c
		bySession[c.session] = append(bySession[c.session], i)
	}
	b.mu.Unlock()
	if b.closing.Err() != nil {
		for i := range out {
			out[i] = driver.Renewal{Err: errClosed}
		}
		return out
	}
	for s, indexes := range bySession {
		b.renew(ctx, s, claims, indexes, out)
	}
	return out
}

// renew renews the claims of one session, given by their indexes.
func (b *backend) renew(ctx context.Context, s *session, claims []*claim, indexes []int, out []driver.Renewal) {
	start, err := s.fresh(ctx, s.ttl/12)
	if errors.Is(err, errSessionGone) {
		s.end(errGone)
		err = driver.ErrNotHeld
	}
	for from := 0; from < len(indexes); from += checkTogether {
		some := indexes[from:min(from+checkTogether, len(indexes))]
		var there []bool
		if err == nil {
			there, err = b.check(ctx, s, claims, some)
		}
		for n, i := range some {
			switch {
			case err != nil:
				out[i].Err = err
			case !there[n]:
				if lost := b.forget(claims[i]); lost != nil {
					lost(errGone) // who watches for a loss need not wait for this answer
				}
				out[i].Err = driver.ErrNotHeld
			case !b.extend(claims[i], start.Add(s.ttl)):
				out[i].Err = fmt.Errorf("%w: etcd: the claim is about to be deleted", driver.ErrUnavailable)
			default:
				out[i] = driver.Renewal{Start: start, TTL: s.ttl}
			}
		}
	}
}

// check asks whether claims are still there.
func (b *backend) check(ctx context.Context, s *session, claims []*claim, indexes []int) ([]bool, error) {
	ops := make([]clientv3.Op, len(indexes))
	revisions := make([]int64, len(indexes))
	b.mu.Lock()
	for n, i := range indexes {
		ops[n] = clientv3.OpGet(claims[i].name, clientv3.WithKeysOnly())
		revisions[n] = claims[i].revision
	}
	b.mu.Unlock()
	answer, err := read(ctx, b, s.ttl, func(ctx context.Context) (*clientv3.TxnResponse, error) {
		return b.client.Txn(ctx).Then(ops...).Commit()
	})
	if err != nil {
		return nil, err
	}
	there := make([]bool, len(indexes))
	for n, r := range answer.Responses {
		kvs := r.GetResponseRange().Kvs
		there[n] = len(kvs) > 0 && kvs[0].CreateRevision == revisions[n]
	}
	return there, nil
}
