package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/driver"
)

// answerTimeout is how long the cluster has, when a client is opened, for an answer:
// enough for an election.
const answerTimeout = 5 * time.Second

// checkServer asks whether a quorum answers, and whether we may read the namespace.
// The request goes around the client's own way to try again, which takes minutes for
// it, and does not tell what is wrong: a certificate, say.
func checkServer(ctx context.Context, client *clientv3.Client, namespace string) error {
	bounded, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	locks := namespace + "/locks/"
	request := &pb.RangeRequest{Key: []byte(locks), RangeEnd: []byte(clientv3.GetPrefixRangeEnd(locks)), CountOnly: true}
	why := errors.New("no answer")
	for pause := 5 * time.Millisecond; ; pause *= 2 {
		_, err := pb.NewKVClient(client.ActiveConnection()).Range(clientv3.WithRequireLeader(bounded), request)
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
