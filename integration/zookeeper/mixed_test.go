package zookeeper_test

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/fencing"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/oldbuild"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

//go:embed testdata/earlier.go
var earlierSource []byte

const mixedTTL = 2 * time.Second

// earlier is a process of the earlier build, for one goroutine.
type earlier struct{ *oldbuild.Process }

func startEarlier(t *testing.T, program, addr, ns string) *earlier {
	t.Helper()
	return &earlier{oldbuild.Start(t, program, "zookeeper://"+addr, "k", mixedTTL.String(), ns)}
}

// do gives an order, and returns what it has led to.
func (e *earlier) do(order string) (answer string, err error) {
	if answer, err = e.Order(order); err != nil {
		return "", err
	}
	if why, failed := strings.CutPrefix(answer, "error "); failed {
		return "", errors.New(why)
	}
	return answer, nil
}

// builds counts who holds a lock, by build. What it is told of a hold is within the hold.
type builds struct {
	mu            sync.Mutex
	ours, earlier int
	last          fencing.Token
	inOrder       bool // the builds agree on the order
	grants        [2]atomic.Int64
}

func (b *builds) enter(t *testing.T, ours bool, token fencing.Token) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if ours {
		b.ours++
		b.grants[0].Add(1)
	} else {
		b.earlier++
		b.grants[1].Add(1)
	}
	if b.ours > 0 && b.ours+b.earlier > 1 || b.inOrder && b.earlier > 1 {
		t.Errorf("%d of this build and %d of the earlier hold the lock", b.ours, b.earlier)
	}
	if b.inOrder && token <= b.last {
		t.Errorf("token %v was granted after %v", token, b.last)
	}
	b.last = token
}

func (b *builds) leave(ours bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if ours {
		b.ours--
	} else {
		b.earlier--
	}
}

// TestBesideEarlierBuild: clients of this build and of an earlier one lock a key, as
// while one is rolled out. They have one queue while its numbers tell the order. Beyond,
// none of ours holds the lock beside one of theirs, and when those have gone, ours do.
func TestBesideEarlierBuild(t *testing.T) {
	t.Parallel()
	program := oldbuild.Build(t, "backend/zookeeper", earlierSource)
	for what, start := range map[string]int32{
		"in the range": orderly / 2, "over the end of the range": orderly - 12, "over the end of the counter": math.MaxInt32 - 12,
	} {
		for _, kind := range servers.ZooKeepers() {
			t.Run(fmt.Sprintf("%s, %v", what, kind), func(t *testing.T) {
				t.Parallel()
				const each, hold, enough = 3, 3 * time.Millisecond, 20
				ns := locktest.Namespace()
				s := servers.Start(t, kind, aged(ns, "k", start, true))
				book := &builds{inOrder: start < orderly-1<<20}
				server := raw(t, s.Addr())
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var ours, theirs sync.WaitGroup
				var processes []*earlier
				for range each {
					e := startEarlier(t, program, s.Addr(), ns)
					processes = append(processes, e)
					theirs.Go(func() { lockAsEarlier(t, ctx, e, book, hold) })
				}
				var clients []*fencelock.Client
				for range each {
					c := open(t, s.Addr(), ns, mixedTTL)
					clients = append(clients, c)
					ours.Go(func() { lockAsOurs(t, ctx, c, book, hold) })
				}
				if book.inOrder {
					locktest.Eventually(t, 4*soon, "both builds are granted the lock, in turns", func() bool {
						return book.grants[0].Load() >= enough && book.grants[1].Load() >= enough
					})
				} else {
					locktest.Eventually(t, 4*soon, "the end of the numbers is reached", func() bool { return hasGuard(t, server, ns) })
					<-time.After(2 * time.Second) // in which nobody does what he should not
				}
				cancel()
				for _, e := range processes {
					e.Kill()
				}
				theirs.Wait()
				ours.Wait()
				t.Logf("grants: %d ours, %d of the earlier build", book.grants[0].Load(), book.grants[1].Load())
				for _, c := range clients {
					locktest.Eventually(t, 2*soon, "the earlier build is gone, and ours is granted the lock", func() bool {
						l, err := lockWithin(t, c, "k", soon)
						if err == nil {
							locktest.Unlock(t, l)
						}
						return err == nil
					})
				}
			})
		}
	}
}

// TestEarlierBuildIsKeptOut: a process of the earlier build comes to a lock whose numbers
// are at their end. While it waits, neither it nor we are granted the lock.
func TestEarlierBuildIsKeptOut(t *testing.T) {
	t.Parallel()
	program := oldbuild.Build(t, "backend/zookeeper", earlierSource)
	for _, kind := range servers.ZooKeepers() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			ns := locktest.Namespace()
			s := servers.Start(t, kind, aged(ns, "k", math.MaxInt32, false))
			c := open(t, s.Addr(), ns, mixedTTL)
			held := lock(t, c, "k")
			e := startEarlier(t, program, s.Addr(), ns)
			granted := make(chan string, 1)
			go func() {
				answer, err := e.do("lock")
				granted <- fmt.Sprint(answer, err)
			}()
			awaitWaiters(t, c, "k", 1)
			locktest.Unlock(t, held)
			if l, err := lockWithin(t, c, "k", soon); !errors.Is(err, fencelock.ErrUnavailable) || !strings.Contains(fmt.Sprint(err), "earlier build") {
				t.Errorf("Lock = %v, %v; want ErrUnavailable and why", l, err)
			}
			select {
			case got := <-granted:
				t.Errorf("the earlier build is told %q", got)
			default:
			}
			e.Kill()
			locktest.Eventually(t, 2*soon, "its session has ended, and we are granted the lock", func() bool {
				l, err := lockWithin(t, c, "k", soon)
				if err == nil {
					locktest.Unlock(t, l)
				}
				return err == nil
			})
			if exists, _, err := raw(t, s.Addr()).Exists(parentOf(ns, "k")); err != nil || exists {
				t.Errorf("the lock's node is there when all have left: %v", err)
			}
		})
	}
}

func lockAsEarlier(t *testing.T, ctx context.Context, e *earlier, book *builds, hold time.Duration) {
	for ctx.Err() == nil {
		answer, err := e.do("lock")
		if errors.Is(err, oldbuild.ErrKilled) {
			return // it may wait for long, see guard
		}
		var token fencing.Token
		if err == nil {
			_, err = fmt.Sscanf(answer, "held %d", &token)
		}
		if err != nil {
			t.Errorf("the earlier build: %v", err)
			return
		}
		book.enter(t, false, token)
		time.Sleep(hold)
		book.leave(false)
		if _, err := e.do("unlock"); err != nil && !errors.Is(err, oldbuild.ErrKilled) {
			t.Errorf("the earlier build: %v", err)
		}
	}
}

func lockAsOurs(t *testing.T, ctx context.Context, c *fencelock.Client, book *builds, hold time.Duration) {
	for ctx.Err() == nil {
		l, err := c.Lock(ctx, "k")
		switch {
		case err == nil:
		case ctx.Err() != nil || errors.Is(err, fencelock.ErrUnavailable): // it says why, see guard
			continue
		default:
			t.Errorf("Lock: %v", err)
			return
		}
		book.enter(t, true, l.Token())
		time.Sleep(hold)
		book.leave(true)
		locktest.Unlock(t, l)
	}
}
