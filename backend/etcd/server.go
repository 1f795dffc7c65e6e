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

// checkServer asks whether a quorum answers, whether we may read and write the namespace, and
// whether it takes the transactions of a lock: some that speak etcd's protocol do not.
func (b *backend) checkServer(ctx context.Context) error {
	if err := checkAnswers(ctx, b.client, b.namespace); err != nil {
		return err
	}
	bounded, cancel := b.bound(ctx, answerTimeout)
	defer cancel()
	for pause := 5 * time.Millisecond; ; pause *= 2 {
		err := b.tryTransaction(bounded)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case code(err) == codes.PermissionDenied || errors.Is(err, rpctypes.ErrAuthFailed):
			return fmt.Errorf("writing %s: %w", b.namespace, err)
		case lasting(err):
			return fmt.Errorf("etcd: %s refuses the transactions that a lock is made of: this is not etcd, or not all of it (kine, for one, takes only those of Kubernetes): %w", b.whatServer(bounded), err)
		case !sleep(bounded, min(pause, answerTimeout/20)):
			return fmt.Errorf("writing %s: %w: %w", b.namespace, driver.ErrUnavailable, err)
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
func checkAnswers(ctx context.Context, client *clientv3.Client, namespace string) error {
	bounded, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	locks := namespace + "/locks/"
	request := &pb.RangeRequest{Key: []byte(locks), RangeEnd: []byte(clientv3.GetPrefixRangeEnd(locks)), CountOnly: true}
	why := errors.New("no answer")
	for pause := 5 * time.Millisecond; ; pause *= 2 {
		_, err := pb.NewKVClient(client.ActiveConnection()).Range(clientv3.WithRequireLeader(bounded), request)
		err = rpctypes.Error(err)
		switch {
		case err == nil:
			return nil
		case bounded.Err() != nil:
		case lasting(err):
			return fmt.Errorf("reading %s: %w", locks, err)
		default:
			why = err
		}
		if !sleep(bounded, min(pause, answerTimeout/20)) {
			return fmt.Errorf("reading %s: %w: %w: %w", locks, driver.ErrUnavailable, context.Cause(bounded), why)
		}
	}
}
