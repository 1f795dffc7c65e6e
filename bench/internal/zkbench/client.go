package zkbench

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/bench/internal/contest"
)

// buffer is enough for the longest list of a thousand waiters. The library's default, twice 1.5 MB for each connection, would
// make such a line a matter of gigabytes.
const buffer = 256 << 10

// connect opens a connection with a session, and waits for the session.
func connect(ctx context.Context, addr string, o contest.Options) (*zk.Conn, error) {
	ready := make(chan struct{}, 1)
	dial := o.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	c, _, err := zk.Connect([]string{addr}, o.TTL,
		zk.WithLogger(quiet{}), zk.WithLogInfo(false), zk.WithMaxBufferSize(buffer), zk.WithMaxConnBufferSize(buffer),
		zk.WithDialer(func(network, address string, timeout time.Duration) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout) // it may connect again later
			defer cancel()
			return dial(ctx, network, address)
		}),
		zk.WithEventCallback(func(e zk.Event) {
			if e.State == zk.StateHasSession {
				select {
				case ready <- struct{}{}:
				default: // a later one: nobody waits any more
				}
			}
		}))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Second, fmt.Errorf("no session from ZooKeeper at %s", addr))
	defer cancel()
	select {
	case <-ready:
		return c, nil
	case <-ctx.Done():
		c.Close()
		return nil, context.Cause(ctx)
	}
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}

// path is a node directly below parent: a key may have slashes.
func path(parent, key string) string { return parent + "/" + url.PathEscape(key) }
