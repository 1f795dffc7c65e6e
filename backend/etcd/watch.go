package etcd

import (
	"context"
	"strconv"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/metadata"
)

// watch tells of the deletion of one claim.
type watch struct {
	name      string
	events    clientv3.WatchChan // nil: none
	on        int64              // the stream that it was begun on; see watchStream
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
// time. All watches of a client share one stream, as a rule: their context is the
// backend's.
func (b *backend) watch(ctx context.Context, name string, timeout time.Duration) watch {
	watching, on := b.watchStream(b.closing)
	watching, cancel := context.WithCancel(watching)
	stop := context.AfterFunc(ctx, cancel)
	late := time.AfterFunc(timeout, cancel)
	defer late.Stop()
	return watch{
		name: name, on: on,
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

// watchStream returns the context for a new watch, and the number of its stream. The client makes
// a stream for each kind of context, and a stream is known to the server by the token that it
// began with. When that has ended, the watches that there are go on, and new ones are refused,
// for as long as there are any: so what comes then goes on another stream.
func (b *backend) watchStream(ctx context.Context) (context.Context, int64) {
	ctx = clientv3.WithRequireLeader(ctx)
	on := b.watchesOn.Load()
	if on > 0 {
		ctx = metadata.AppendToOutgoingContext(ctx, "fencelock-watches", strconv.FormatInt(on, 10))
	}
	return ctx, on
}

// watchRefused takes in why a watch has ended, or was not begun.
func (b *backend) watchRefused(on int64, why error) {
	if why != nil && refusesWatch(why.Error()) {
		b.watchesOn.CompareAndSwap(on, on+1) // of many on one stream, the first
	}
}
