package main

import (
	"context"
	"fmt"
	"net/url"
	"sync"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/etcd"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/backend/redis"
	"github.com/fencelock/fencelock/backend/zookeeper"
	"github.com/fencelock/fencelock/driver"
)

// process stands for the process of one worker, which can be suspended as by
// SIGSTOP, a virtual machine that is moved, or a long garbage collection. All
// workers of this example share one real process, so that it needs no server; what
// a suspension means for a lock is that renewals stop and that the holder does not
// notice. That is what is done here: renewals are held up, and the worker sleeps
// without looking at its lease. A grant that is not renewed ends with its TTL on all
// backends, also on those that keep one session for many grants.
type process struct {
	driver.Backend
	wasSuspended bool // only the worker uses it

	mu     sync.Mutex
	frozen chan struct{} // closed when it goes on; nil while it runs
}

var openers = map[string]fencelock.Opener{
	"mem":   mem.Open,
	"redis": redis.Open, "rediss": redis.Open, "unix": redis.Open,
	"etcd": etcd.Open, "etcds": etcd.Open,
	"zookeeper": zookeeper.Open, "zookeepers": zookeeper.Open,
}

// open is fencelock.Open with the process in between.
func (p *process) open(ctx context.Context, rawURL string, opts *fencelock.Options) (*fencelock.Client, error) {
	u, err := url.Parse(rawURL)
	if err != nil || openers[u.Scheme] == nil {
		return nil, fmt.Errorf("FENCELOCK_URL: want one of %d schemes, such as mem:// or redis://host:6379", len(openers))
	}
	if p.Backend, err = openers[u.Scheme](ctx, u); err != nil {
		return nil, err
	}
	return fencelock.New(p, opts)
}

// suspend stops the process until resume is called.
func (p *process) suspend() (resume func()) {
	p.wasSuspended = true
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = make(chan struct{})
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		close(p.frozen)
		p.frozen = nil
	}
}

// Renew sends nothing while the process is suspended.
func (p *process) Renew(ctx context.Context, grants []driver.Grant) []driver.Renewal {
	p.mu.Lock()
	frozen := p.frozen
	p.mu.Unlock()
	if frozen == nil {
		return p.Backend.Renew(ctx, grants)
	}
	select {
	case <-frozen:
	case <-ctx.Done():
	}
	out := make([]driver.Renewal, len(grants))
	for i := range out {
		out[i].Err = fmt.Errorf("%w: the process was suspended", driver.ErrUnavailable)
	}
	return out
}
