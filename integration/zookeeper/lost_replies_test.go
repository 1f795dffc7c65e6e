package zookeeper_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/drivertest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestConformanceWithLostReplies runs the suite while each client loses the reply to
// its n-th create, list, look at a node, sync, watch and barrier: it was carried out,
// and nobody is told. The core asks again, as persistent does here. What the core makes
// of a lost reply to Unlock and Evict, whose outcome cannot be had by asking again, is
// in client_test.go.
func TestConformanceWithLostReplies(t *testing.T) {
	for n, name := range []string{"first", "second", "third"} {
		t.Run(name, func(t *testing.T) {
			s := servers.Start(t, servers.ZooKeeper)
			drivertest.Run(t, harness([]string{s.Addr()}, restart(s), func(t drivertest.T, proxies []*proxy.Proxy, ns string) driver.Backend {
				b, p := plain(t, proxies, ns), proxies[0]
				for _, lost := range []func([]byte) bool{
					proxy.ZKOp("create"), proxy.ZKOp("getChildren2"), proxy.ZKOp("exists"), proxy.ZKOp("sync"),
					proxy.ZKOp("createContainer"), proxy.ZKOp("getData"), barriers(ns),
				} {
					p.LoseReplyTo(lost, n+1)
				}
				return &persistent{Backend: b, closed: make(chan struct{})}
			}))
		})
	}
}

// barriers matches the transactions that only look at the namespace's node.
func barriers(ns string) func(request []byte) bool {
	return func(request []byte) bool {
		return proxy.ZKOpOf(request) == "multi" && proxy.ZKPath(request) == "/"+ns
	}
}

// persistent asks again when it got no answer, as the core of fencelock does.
type persistent struct {
	driver.Backend
	close  sync.Once
	closed chan struct{}
}

func (p *persistent) Close() error {
	p.close.Do(func() { close(p.closed) })
	return p.Backend.Close()
}

func (p *persistent) Acquire(ctx context.Context, req driver.Request) (driver.Grant, error) {
	for {
		g, err := p.Backend.Acquire(ctx, req)
		if !p.goesOn(ctx, err) {
			if err != nil && ctx.Err() != nil {
				err = ctx.Err()
			}
			return g, err
		}
		req.Retry = true
	}
}

func (p *persistent) Renew(ctx context.Context, grants []driver.Grant) []driver.Renewal {
	out := p.Backend.Renew(ctx, grants)
	for i := range out {
		for p.goesOn(ctx, out[i].Err) {
			out[i] = p.Backend.Renew(ctx, grants[i:i+1])[0]
		}
	}
	return out
}

// Release asks again where no more than a look has failed: no reply to a deletion is
// lost here.
func (p *persistent) Release(ctx context.Context, g driver.Grant) error {
	for {
		if err := p.Backend.Release(ctx, g); !p.goesOn(ctx, err) {
			return err
		}
	}
}

func (p *persistent) Evict(ctx context.Context, key string) error {
	for {
		if err := p.Backend.Evict(ctx, key); !p.goesOn(ctx, err) {
			return err
		}
	}
}

func (p *persistent) Inspect(ctx context.Context, key string) (driver.Status, error) {
	for {
		if s, err := p.Backend.Inspect(ctx, key); !p.goesOn(ctx, err) {
			return s, err
		}
	}
}

func (p *persistent) goesOn(ctx context.Context, err error) bool {
	if !errors.Is(err, driver.ErrUnavailable) {
		return false
	}
	select {
	case <-time.After(time.Millisecond):
		return true
	case <-p.closed:
		return false
	case <-ctx.Done():
		return false
	}
}
