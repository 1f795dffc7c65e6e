package etcd

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// checkServer asks whether a quorum answers, and whether we may read the namespace.
func checkServer(ctx context.Context, client *clientv3.Client, namespace string) error {
	if _, err := client.Get(ctx, namespace+"/locks/", clientv3.WithPrefix(), clientv3.WithCountOnly()); err != nil {
		return fmt.Errorf("reading %s/locks/: %w", namespace, fault(ctx, err))
	}
	return nil
}
