package etcd

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// bound returns a context for one request: it ends with ctx, after the timeout, or
// when the backend is closed. A member that is cut off from the others refuses the
// request, and does not keep it until then: the client, or we, go on to the next.
func (b *backend) bound(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(undated{ctx}))
	late := time.AfterFunc(timeout, cancel)
	stop := context.AfterFunc(b.closing, cancel)
	return ctx, func() {
		late.Stop()
		stop()
		cancel()
	}
}

// undated ends when its context does, and does not tell when that will be. A deadline
// travels with the request, as a header that is another each time, and costs the server
// a timer, for a request that the client gives up by itself.
type undated struct{ context.Context }

// Deadline says that there is none.
func (undated) Deadline() (time.Time, bool) { return time.Time{}, false }
