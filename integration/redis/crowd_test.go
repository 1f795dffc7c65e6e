package redis_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/drivertest"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/persistent"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestConformanceInBatches runs the suite while other callers of the same client ask at the same moment, about other
// locks: what the suite asks goes to the server together with what they do. In the second run replies to such requests
// are lost: what became of each of their locks is then not known.
func TestConformanceInBatches(t *testing.T) {
	for _, lossy := range []bool{true, false} {
		t.Run(map[bool]string{false: "plain", true: "lost replies"}[lossy], func(t *testing.T) {
			s := servers.Start(t, servers.Redis, servers.Args("--appendonly", "yes", "--appendfsync", "always"))
			count := &crowdCount{asked: map[string]bool{}}
			t.Run("suite", func(t *testing.T) {
				drivertest.Run(t, harness(s, func(t drivertest.T, p *proxy.Proxy, ns string) driver.Backend {
					b := &crowd{Backend: dial(t, p.Addr(), ns), spare: make(chan driver.Grant, 256)}
					p.Delay(proxy.ToClient, 5*time.Millisecond) // so that requests meet
					locktest.Tally(p, count.see)
					if !lossy {
						return b
					}
					several := func(is func([]byte) bool) func([]byte) bool {
						return func(r []byte) bool { return is(r) && locksOf(r) > 1 }
					}
					for _, n := range []int{2, 7, 20} {
						p.LoseReplyTo(several(acquireCalls), n)
						p.LoseReplyTo(several(releases), n)
					}
					return &insistent{persistent.New(b), b}
				}))
			})
			count.mu.Lock()
			defer count.mu.Unlock()
			t.Logf("the suite's requests, by how they went: %+v", count.crowdCounts)
			if all := count.Alone + count.Together; count.Together*10 < all*8 {
				t.Errorf("%d of %d went together with others, want eight tenths", count.Together, all)
			}
		})
	}
}

// insistent asks again when a reply was lost. Whether a Release whose reply was lost has ended a grant it knows
// by who held the lock before.
type insistent struct {
	*persistent.Backend
	crowd *crowd
}

func (i *insistent) Release(ctx context.Context, g driver.Grant) error {
	before, err := i.Inspect(ctx, g.Key)
	if err != nil {
		return err
	}
	held := before.Held() && before.Holders[0].AttemptID == g.AttemptID
	for again := false; ; again = true {
		err := i.crowd.Release(ctx, g)
		switch {
		case errors.Is(err, driver.ErrUnavailable) && ctx.Err() == nil:
		case errors.Is(err, driver.ErrNotHeld) && again && held:
			return nil
		default:
			return err
		}
	}
}

// crowdCount counts what the suite asks.
type crowdCount struct {
	mu    sync.Mutex
	asked map[string]bool // attempts
	crowdCounts
}

type crowdCounts struct {
	Alone, Together          int // first requests of attempts, and releases
	AgainAlone, AgainInCrowd int // what the backend asks by itself, to keep a position
}

const crowdKey = "crowd-"

// requestsUnderWay is how many requests a client has under way, at the most, before callers go together.
const requestsUnderWay = 8

func (c *crowdCount) see(request []byte) bool {
	n := locksOf(request)
	if n == 0 {
		return false
	}
	args := proxy.Args(request)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(args) < 3+n || !strings.HasPrefix(strings.ToLower(args[0]), "eval") { // the server's own compare-and-delete
		if !strings.Contains(args[1], crowdKey) {
			c.Alone++
		}
		return false
	}
	attempts := args[len(args)-n:]
	for i, lock := range args[3 : 3+n] {
		again := acquireCalls(request) && c.asked[attempts[i]]
		switch {
		case strings.Contains(lock, crowdKey):
			continue
		case again && n > 1:
			c.AgainInCrowd++
		case again:
			c.AgainAlone++
		case n > 1:
			c.Together++
		default:
			c.Alone++
		}
		c.asked[attempts[i]] = true
	}
	return false
}

// crowd is a backend with other callers, who ask whenever the suite does.
type crowd struct {
	driver.Backend
	spare   chan driver.Grant // that others hold, to be released beside the suite's
	n       atomic.Int64
	running sync.WaitGroup
	mu      sync.Mutex
	closed  bool
}

func (c *crowd) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	err := c.Backend.Close()
	c.running.Wait()
	return err
}

// aside starts calls of others, and returns when they have begun.
func (c *crowd) aside(calls ...func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	var begun sync.WaitGroup
	for _, call := range calls {
		begun.Add(1)
		c.running.Go(func() {
			begun.Done()
			call()
		})
	}
	begun.Wait()
	time.Sleep(300 * time.Microsecond)
}

// other is a call to acquire a lock that nobody else asks for.
func (c *crowd) other(ttl time.Duration, like driver.Request) func() {
	return func() {
		key := fmt.Sprint(crowdKey, c.n.Add(1))
		ctx, cancel := context.WithTimeout(context.Background(), locktest.Soon)
		defer cancel()
		g, err := c.Backend.Acquire(ctx, driver.Request{
			Key: key, AttemptID: key, TTL: ttl, Wait: like.Wait, Identity: like.Identity, Meta: like.Meta,
		})
		if err != nil {
			return // a fault that the suite makes
		}
		select {
		case c.spare <- g:
		default:
			_ = c.Backend.Release(ctx, g)
		}
	}
}

func (c *crowd) Acquire(ctx context.Context, req driver.Request) (driver.Grant, error) {
	if err := ctx.Err(); err == nil && req.TTL >= 100*time.Millisecond && req.TTL <= 24*time.Hour {
		c.aside(slices.Repeat([]func(){c.other(req.TTL, req)}, requestsUnderWay+2)...)
	}
	return c.Backend.Acquire(ctx, req)
}

func (c *crowd) Release(ctx context.Context, g driver.Grant) error {
	if ctx.Err() == nil {
		calls := slices.Repeat([]func(){c.other(time.Second, driver.Request{})}, requestsUnderWay)
		for range 2 {
			calls = append(calls, func() { // one that never asked: it leaves a tombstone
				key := fmt.Sprint(crowdKey, c.n.Add(1))
				_ = c.Backend.Release(context.Background(), driver.Grant{Key: key, AttemptID: key})
			}, func() {
				select {
				case g := <-c.spare:
					_ = c.Backend.Release(context.Background(), g)
				default:
				}
			})
		}
		c.aside(calls...)
	}
	return c.Backend.Release(ctx, g)
}
