// Package cluster is a client's connection to a cluster of etcd: how requests are sent, alone or together, how much
// time each has, what their errors mean, and when all of it ends. It knows no lease and no lock.
package cluster

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/api/v3/version"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/metadata"

	"github.com/fencelock/fencelock/driver/address"
	"github.com/fencelock/fencelock/driver/batch"
)

// Conn is the connection of one backend. Requests that are bounded by Bound, and by what is built on it, end
// when it is closed.
type Conn struct {
	Client      *clientv3.Client
	Contact     *address.Contact // logs what an operator should know
	Proxied     bool             // it leads to a proxy: see session.DetectProxy
	FullTimeout bool             // a member has all the time that there is: see MemberTimeout
	RoundTrip   atomic.Int64     // nanoseconds that a lone request took, which errors mention if it was long

	trouble      *Trouble
	batch        batch.Sender[Txn, *pb.TxnResponse]
	shortcut     *Shortcut             // for transactions; nil: there is none
	header       context.Context       // has that of requests: see outgoing
	watchStream  atomic.Int64          // the stream for new watches; see WatchContext
	mu           sync.Mutex            // of closing against Go and Bound
	requests     map[*Request]struct{} // that have not ended
	closing      context.Context
	beginClosing context.CancelFunc
	running      sync.WaitGroup
}

// ConnectTimeout is what an attempt to connect has.
const ConnectTimeout = 2 * time.Second

// New makes a connection of a client. The shortcut is nil unless it is an interceptor of this client.
func New(client *clientv3.Client, t *Trouble, shortcut *Shortcut) *Conn {
	c := &Conn{Client: client, Contact: t.Contact, trouble: t, shortcut: shortcut, requests: make(map[*Request]struct{})}
	c.header = metadata.NewOutgoingContext(context.Background(), metadata.Pairs(
		rpctypes.MetadataRequireLeaderKey, rpctypes.MetadataHasLeader,
		rpctypes.MetadataClientAPIVersionKey, version.APIVersion)) // as etcd's client has it
	c.FullTimeout = len(client.Endpoints()) == 1 || client.Username != ""
	c.closing, c.beginClosing = context.WithCancel(context.Background())
	c.batch.Gather = true // a request costs a server more than a transaction in it does
	c.batch.Alone, c.batch.Together = c.commit, c.commitTogether
	c.batch.Refused = func(err error) bool { return IsPermanent(err) || LeaseGone(err) }
	c.batch.Go = func(f func()) {
		if !c.Go(f) {
			f()
		}
	}
	return c
}

// Close ends requests under way, and waits for what Go has started. It leaves the client open.
func (c *Conn) Close() {
	c.mu.Lock() // from here on Go starts nothing
	c.beginClosing()
	for r := range c.requests {
		r.cancel()
	}
	c.mu.Unlock()
	c.running.Wait()
}

// Closing is done when Close begins.
func (c *Conn) Closing() context.Context { return c.closing }

// Closed reports whether Close has begun.
func (c *Conn) Closed() bool { return c.closing.Err() != nil }

// Go starts a goroutine for which Close waits, unless Close has begun.
func (c *Conn) Go(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Closed() {
		return false
	}
	c.running.Go(f)
	return true
}

// WatchContext returns the context for a new watch, and the number of its stream. The client makes
// a stream for each kind of context, and the server knows a stream by the token that it
// began with. When that token has ended, the watches that there are go on, and new ones are refused,
// for as long as there are any. So later watches go on another stream.
func (c *Conn) WatchContext(ctx context.Context) (context.Context, int64) {
	ctx = clientv3.WithRequireLeader(ctx)
	stream := c.watchStream.Load()
	if stream > 0 {
		ctx = metadata.AppendToOutgoingContext(ctx, "fencelock-watches", strconv.FormatInt(stream, 10))
	}
	return ctx, stream
}

// WatchEnded notes why a watch on a stream has ended, or was not begun.
func (c *Conn) WatchEnded(stream int64, err error) {
	if err != nil && RefusesWatch(err.Error()) {
		c.watchStream.CompareAndSwap(stream, stream+1) // of many on one stream, the first
	}
}
