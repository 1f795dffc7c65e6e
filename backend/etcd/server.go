package etcd

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"

	"github.com/fencelock/fencelock/driver"
)

// answerTimeout is how long the cluster has, when a client is opened, for an answer:
// enough for an election.
const answerTimeout = 5 * time.Second

// checkServer asks whether a quorum answers, whether we may read and write the namespace, whether
// it takes the transactions of a lock, which some that speak etcd's protocol do not, and whether
// there is a proxy.
func (b *backend) checkServer(ctx context.Context) error {
	bounded, cancel := context.WithTimeoutCause(ctx, answerTimeout, fmt.Errorf("no answer within %v", answerTimeout))
	defer cancel()
	if err := b.checkAnswers(bounded); err != nil {
		return err
	}
	err := b.persist(bounded, "writing "+b.namespace, b.tryTransaction)
	switch {
	case err == nil:
	case errors.Is(err, driver.ErrUnavailable), code(err) == codes.PermissionDenied, errors.Is(err, rpctypes.ErrAuthFailed):
		return err
	default:
		return fmt.Errorf("etcd: %s refuses the transactions that a lock is made of: this is not etcd, or not all of it (kine, for one, takes only those of Kubernetes): %w", b.whatServer(bounded), err)
	}
	err = b.persist(bounded, "keeping a lease alive", func(ctx context.Context) (err error) {
		b.proxied, err = b.behindProxy(ctx)
		return err
	})
	if errors.Is(err, driver.ErrUnavailable) && ctx.Err() == nil {
		err = fmt.Errorf("%w (etcd grpc-proxy keeps none alive where users have passwords)", err)
	}
	return err
}

// persist asks until there is an answer, as long as ctx allows: one member after the other, unless
// there is one only, or it may have to log in the application's client.
func (b *backend) persist(ctx context.Context, what string, ask func(context.Context) error) error {
	var why error // of the last member that was asked
	limit := answerTimeout
	if !b.patient {
		limit /= 4
	}
	for pause := 5 * time.Millisecond; ; pause *= 2 {
		once, cancel := context.WithTimeout(ctx, limit)
		err := ask(clientv3.WithRequireLeader(once))
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
		case lasting(err):
			return fmt.Errorf("%s: %w", what, sorted(err))
		default:
			why = err
		}
		if !sleep(ctx, min(pause, answerTimeout/20)) {
			err := fmt.Errorf("%w: %s: %w", driver.ErrUnavailable, what, context.Cause(ctx))
			if why != nil {
				err = fmt.Errorf("%w: %w", err, &plain{why})
			}
			return err
		}
	}
}

// tryTransaction asks for what locks are made of: conditions on revisions, also of all claims of a
// lock, a count, a claim, a deletion. The first condition is never true, so that it changes
// nothing, whatever else is on the server. No lock has the name.
func (b *backend) tryTransaction(ctx context.Context) error {
	prefix, fence := b.prefix(""), b.fenceKey(noLease)
	_, err := b.client.Txn(ctx).
		If(
			clientv3.Compare(clientv3.CreateRevision(prefix+"0"), "=", -1),
			clientv3.Compare(clientv3.ModRevision(fence), "=", 0),
			clientv3.Compare(clientv3.CreateRevision(prefix), "=", 0).WithPrefix(),
		).
		Then(
			clientv3.OpGet(prefix, clientv3.WithPrefix(), clientv3.WithCountOnly()),
			clientv3.OpPut(prefix+"0", ""),
			clientv3.OpDelete(fence),
		).Commit()
	return err
}

// whatServer names a server by what it says of itself.
func (b *backend) whatServer(ctx context.Context) string {
	bounded, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	all, err := b.client.MemberList(bounded)
	if err != nil {
		return "the server"
	}
	var names []string
	for _, m := range all.Members {
		names = append(names, strconv.Quote(m.Name))
	}
	return "the server, whose members call themselves " + strings.Join(names, ", ") + ","
}

// checkAnswers asks whether a quorum answers, and whether we may read the namespace.
// The request goes around the client's own way to try again, which takes minutes for
// it, and does not tell what is wrong: a certificate, say.
func (b *backend) checkAnswers(ctx context.Context) error {
	locks := b.locksPrefix()
	request := &pb.RangeRequest{Key: []byte(locks), RangeEnd: []byte(clientv3.GetPrefixRangeEnd(locks)), CountOnly: true}
	return b.persist(ctx, "reading "+locks, func(ctx context.Context) error {
		_, err := pb.NewKVClient(b.client.ActiveConnection()).Range(ctx, request)
		return rpctypes.Error(err)
	})
}
