package etcd

import (
	"context"
	"errors"
	"slices"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/driver"
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
	bySession := make(map[*session][]renewal)
	b.mu.Lock()
	for i, g := range grants {
		a := b.attempts[g.AttemptID]
		switch {
		case a != nil && a.key == g.Key:
		case a == nil && g.Handle != nil && !b.isOurs(g):
			out[i].Err = errForeign
			continue
		default:
			out[i].Err = driver.ErrNotHeld
			continue
		}
		bySession[a.session] = append(bySession[a.session], renewal{a, &out[i]})
	}
	b.mu.Unlock()
	if b.closing.Err() != nil {
		for i := range out {
			out[i] = driver.Renewal{Err: errClosed}
		}
		return out
	}
	for s, renewals := range bySession {
		b.renew(ctx, s, renewals)
	}
	return out
}

// renewal is an attempt to be renewed, and where the outcome goes.
type renewal struct {
	attempt *attempt
	out     *driver.Renewal
}

// renew renews claims of one session.
func (b *backend) renew(ctx context.Context, s *session, renewals []renewal) {
	start, err := s.aliveSince(ctx, s.ttl/12)
	if errors.Is(err, errSessionGone) {
		s.end(errGone)
		err = driver.ErrNotHeld
	}
	for some := range slices.Chunk(renewals, maxCheck) {
		var there []bool
		if err == nil {
			there, err = b.check(ctx, s, attemptsOf(some))
		}
		for i, r := range some {
			switch {
			case err != nil:
				r.out.Err = err
			case !there[i]:
				r.out.Err = driver.ErrNotHeld
			case !b.recordRenewal(r.attempt, start.Add(s.ttl)):
				r.out.Err = driver.ErrNotHeld // this client is deleting it: nobody holds it any more
			default:
				*r.out = driver.Renewal{Start: start, TTL: s.ttl}
			}
		}
	}
}

func attemptsOf(renewals []renewal) []*attempt {
	attempts := make([]*attempt, len(renewals))
	for i, r := range renewals {
		attempts[i] = r.attempt
	}
	return attempts
}

// check asks whether claims are still there, maxCheck at most. It forgets those
// that are not, and tells their holders, so that nobody has to wait for the next renewal to learn
// of a loss.
//
// A server that refuses them as too many for one transaction has answered nothing: check asks again
// in halves, and from then on about so many at a time.
func (b *backend) check(ctx context.Context, s *session, attempts []*attempt) (there []bool, err error) {
	for len(attempts) > 0 {
		some := attempts[:min(len(attempts), int(b.checkLimit.Load()))]
		part, err := b.checkSome(ctx, s, some)
		if errors.Is(err, rpctypes.ErrTooManyOps) && len(some) > 1 {
			b.checkLimit.Store(int64(len(some) / 2))
			continue
		}
		if err != nil {
			return nil, err
		}
		there, attempts = append(there, part...), attempts[len(some):]
	}
	return there, nil
}

func (b *backend) checkSome(ctx context.Context, s *session, attempts []*attempt) ([]bool, error) {
	ops := make([]clientv3.Op, len(attempts))
	revisions := make([]int64, len(attempts))
	b.mu.Lock()
	for i, a := range attempts {
		ops[i] = clientv3.OpGet(a.name, clientv3.WithKeysOnly())
		revisions[i] = a.revision
	}
	b.mu.Unlock()
	answer, err := read(ctx, b, s.ttl, func(ctx context.Context) (*clientv3.TxnResponse, error) {
		return b.client.Txn(ctx).Then(ops...).Commit()
	})
	if err != nil {
		return nil, err
	}
	there := make([]bool, len(attempts))
	for i, r := range answer.Responses {
		kvs := r.GetResponseRange().Kvs
		there[i] = len(kvs) > 0 && kvs[0].CreateRevision == revisions[i]
		if !there[i] {
			b.forget(attempts[i], errGone)
		}
	}
	return there, nil
}
