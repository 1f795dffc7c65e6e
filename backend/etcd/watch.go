package etcd

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// watch tells of the deletion of one claim.
type watch struct {
	name      string
	events    clientv3.WatchChan // nil: none
	confirmed bool
	stop      func()
}

// watches are those of the nearest older claims.
type watches [watched]watch

// follow keeps the watches of claims, begins those that are missing, and ends the
// others.
func (b *backend) follow(ctx context.Context, old watches, claims []older, timeout time.Duration) (all watches) {
	for i, o := range claims {
		for j := range old {
			if old[j].name == o.name {
				all[i], old[j] = old[j], watch{}
			}
		}
	}
	old.end()
	for i, o := range claims {
		if all[i].events == nil {
			all[i] = b.watch(ctx, o.name, timeout)
		}
	}
	return all
}

// confirmed reports whether the server has confirmed all that there are.
func (all *watches) confirmed() bool {
	for _, w := range all {
		if w.events != nil && !w.confirmed {
			return false
		}
	}
	return true
}

func (all *watches) end() {
	for _, w := range all {
		w.end()
	}
}

// watch begins to watch a claim, and gives up if the server does not confirm it in
// time. All watches of a client share one stream: their context is the backend's,
// as the client makes a stream for each kind of context.
func (b *backend) watch(ctx context.Context, name string, timeout time.Duration) watch {
	watching, cancel := context.WithCancel(clientv3.WithRequireLeader(b.closing))
	stop := context.AfterFunc(ctx, cancel)
	late := time.AfterFunc(timeout, cancel)
	defer late.Stop()
	return watch{
		name:   name,
		events: b.client.Watch(watching, name, clientv3.WithCreatedNotify(), clientv3.WithFilterPut()), //nolint:contextcheck // the backend's, as it says
		stop: func() {
			stop()
			cancel()
		},
	}
}

func (w watch) end() {
	if w.stop != nil {
		w.stop()
	}
}
