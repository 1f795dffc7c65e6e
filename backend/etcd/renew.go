package etcd

import (
	"context"
	"errors"
	"slices"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/backend/etcd/internal/cluster"
	"github.com/fencelock/fencelock/backend/etcd/internal/session"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
)

// maxCheck is how many claims one request asks about: as many operations as
// a server allows in a transaction by default. If a server allows fewer, check learns
// that from its refusal.
const maxCheck = 128

var errForeign = errors.New("etcd: the grant is another backend's")

// Renew extends grants, by one keep-alive for all of a session, and asks the
// server whether each is still there: the lease says nothing of a key that somebody
// has deleted.
func (b *backend) Renew(ctx context.Context, grants []driver.Grant) []driver.Renewal {
	out := make([]driver.Renewal, len(grants))
	bySession := make(map[*session.Session][]renewal)
	b.registry.mu.Lock()
	for i, g := range grants {
		switch a := b.registry.ledger.Of(g); {
		case a == nil && g.Handle != nil:
			out[i].Err = errForeign
		case a == nil || a.Phase() == attempts.Gone:
			out[i].Err = driver.ErrNotHeld
		default:
			bySession[a.session] = append(bySession[a.session], renewal{a, &out[i]})
		}
	}
	b.registry.mu.Unlock()
	if b.conn.Closed() {
		for i := range out {
			out[i] = driver.Renewal{Err: cluster.ErrClosed}
		}
		return out
	}
	for s, renewals := range bySession {
		b.renew(ctx, s, renewals)
	}
	return out
}

// renewal is an attempt to be renewed, and where the outcome goes; nil if it is only checked.
type renewal struct {
	attempt *attempt
	out     *driver.Renewal
}

// renew renews claims of one session.
func (b *backend) renew(ctx context.Context, s *session.Session, renewals []renewal) {
	start, err := s.AliveSince(ctx, s.TTL/12)
	if errors.Is(err, session.ErrGone) {
		s.End(session.ErrForgotten)
		err = driver.ErrNotHeld
	}
	for some := range slices.Chunk(renewals, maxCheck) {
		var there []bool
		if err == nil {
			there, err = b.check(ctx, s, some)
		}
		b.registry.mu.Lock()
		for i, r := range some {
			switch {
			case err != nil:
				r.out.Err = err
			case !there[i] || !b.registry.ledger.Extend(r.attempt, start.Add(s.TTL)): // or this client is deleting it
				r.out.Err = driver.ErrNotHeld
			default:
				*r.out = driver.Renewal{Start: start, TTL: s.TTL}
			}
		}
		b.registry.mu.Unlock()
	}
}

// check asks whether claims are still there, maxCheck at most. It forgets those
// that are not, and tells their holders, so that nobody has to wait for the next renewal to learn
// of a loss.
//
// A server that refuses them as too many for one transaction has answered nothing: check asks again
// in halves, and from then on about so many at a time.
func (b *backend) check(ctx context.Context, s *session.Session, all []renewal) (there []bool, err error) {
	for len(all) > 0 {
		some := all[:min(len(all), int(b.checkLimit.Load()))]
		part, err := b.checkSome(ctx, s, some)
		if errors.Is(err, rpctypes.ErrTooManyOps) && len(some) > 1 {
			b.checkLimit.Store(int64(len(some) / 2))
			continue
		}
		if err != nil {
			return nil, err
		}
		there, all = append(there, part...), all[len(some):]
	}
	return there, nil
}

func (b *backend) checkSome(ctx context.Context, s *session.Session, some []renewal) ([]bool, error) {
	ops := make([]clientv3.Op, len(some))
	revisions := make([]int64, len(some))
	b.registry.mu.Lock()
	for i, r := range some {
		ops[i] = clientv3.OpGet(r.attempt.name, clientv3.WithKeysOnly())
		revisions[i] = r.attempt.revision
	}
	b.registry.mu.Unlock()
	answer, err := cluster.Read(ctx, b.conn, s.TTL, func(ctx context.Context) (*clientv3.TxnResponse, error) {
		return b.conn.Client.Txn(ctx).Then(ops...).Commit()
	})
	if err != nil {
		return nil, err
	}
	there := make([]bool, len(some))
	for i, r := range answer.Responses {
		kvs := r.GetResponseRange().Kvs
		there[i] = len(kvs) > 0 && kvs[0].CreateRevision == revisions[i]
		if !there[i] {
			b.registry.lose(some[i].attempt, session.ErrForgotten)
		}
	}
	return there, nil
}
