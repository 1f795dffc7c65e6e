package zookeeper_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestIdleNodesAreDeleted: a client deletes the nodes of the locks that it does not use any
// more, many at a time, those excepted that another uses.
func TestIdleNodesAreDeleted(t *testing.T) {
	t.Parallel()
	const keys, workers = 5000, 64
	s, ns := servers.Shared(t, servers.ZooKeeper), locktest.Namespace()
	p := through(t, s.Addr())
	c, other := open(t, p.Addr(), ns, 20*time.Second), open(t, s.Addr(), ns, 20*time.Second)
	deletions := tallyMultis(p, 2, "/"+ns+"/")
	var working sync.WaitGroup
	for w := range workers {
		working.Go(func() {
			for i := w; i < keys; i += workers {
				l, err := c.Lock(t.Context(), fmt.Sprint("k", i))
				if err == nil {
					err = l.Unlock(t.Context())
				}
				if err != nil {
					t.Errorf("k%d: %v", i, err)
				}
			}
		})
	}
	working.Wait()
	first := lock(t, c, "k0")
	locktest.Unlock(t, first)
	theirs := lock(t, other, "k0")
	server := raw(t, s.Addr())
	locktest.Eventually(t, 4*soon, "all but one have gone", func() bool {
		left, _, err := server.Children("/" + ns)
		return err == nil && len(left) == 1
	})
	// The server sweeps as well, but it takes half a minute for so many.
	if n := deletions(); n == 0 {
		t.Error("the client has deleted none: nothing is tested")
	}
	locktest.Unlock(t, theirs)
	if again := lock(t, c, "k0"); again.Token() <= theirs.Token() || theirs.Token() <= first.Token() {
		t.Errorf("tokens %v, %v, %v do not rise", first.Token(), theirs.Token(), again.Token())
	}
}

// tallyMultis counts the transactions that begin with an operation on a node that is no claim.
func tallyMultis(p *proxy.Proxy, op uint32, below string) func() int64 {
	n := locktest.Tally(p, func(request []byte) bool {
		path := proxy.ZKPath(request)
		return proxy.ZKOpOf(request) == "multi" && len(request) >= 12 && binary.BigEndian.Uint32(request[8:]) == op &&
			len(path) > len(below) && path[:len(below)] == below && !containsHash(path)
	})
	return n.Load
}

func containsHash(path string) bool {
	for i := range path {
		if path[i] == '#' {
			return true
		}
	}
	return false
}

// TestNodeDeletedUnderCreates: a lock's node that is deleted whenever it is empty, by those who
// have used it or by anybody, keeps no lock from being granted, and no order from being kept.
func TestNodeDeletedUnderCreates(t *testing.T) {
	t.Parallel()
	s, ns := servers.Shared(t, servers.ZooKeeper), locktest.Namespace()
	server := raw(t, s.Addr())
	stop := make(chan struct{})
	var deleted atomic.Int32
	var deleting sync.WaitGroup
	deleting.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			switch err := server.Delete(parentOf(ns, "k"), -1); {
			case err == nil:
				deleted.Add(1)
			case !errors.Is(err, zk.ErrNotEmpty) && !errors.Is(err, zk.ErrNoNode):
				t.Errorf("deleting: %v", err)
				return
			}
		}
	})
	var book locktest.Ledger
	var working sync.WaitGroup
	for range 3 {
		c := open(t, s.Addr(), ns, 20*time.Second)
		working.Go(func() {
			for i := 0; i < 50 || deleted.Load() == 0 && i < 5000; i++ {
				l, err := c.Lock(t.Context(), "k")
				if err != nil {
					t.Errorf("Lock: %v", err)
					return
				}
				book.Record(t, l)
				var lost error
				if err := l.Unlock(t.Context()); err != nil {
					lost = err
				}
				if lost != nil && !errors.Is(lost, fencelock.ErrUnknown) {
					t.Errorf("Unlock: %v", lost)
				}
				time.Sleep(rand.N(5 * time.Millisecond)) // so that the node is empty now and then
			}
		})
	}
	working.Wait()
	close(stop)
	deleting.Wait()
	if deleted.Load() == 0 {
		t.Error("the node was never deleted: nothing is tested")
	}
}
