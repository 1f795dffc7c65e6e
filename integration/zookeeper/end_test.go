package zookeeper_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// orderly is where the numbers end by which backend/zookeeper orders claims.
const orderly = 1<<31 - 1<<20

// TestCounterEnds: a server counts at its end as the unit tests' server does: it stays at
// the last number for creates that come alone, and goes over it only while they overlap.
func TestCounterEnds(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.ZooKeepers() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			ns := locktest.Namespace()
			c := raw(t, servers.Start(t, kind, aged(ns, "k", math.MaxInt32-1, true)).Addr())
			parent := parentOf(ns, "k")
			for i, want := range []int32{math.MaxInt32 - 1, math.MaxInt32, math.MaxInt32, math.MaxInt32} {
				prefix := fmt.Sprintf("%s/%d#", parent, i)
				got, err := c.Create(prefix, nil, zk.FlagEphemeralSequential, zk.WorldACL(zk.PermAll))
				if name := fmt.Sprintf("%s%010d", prefix, want); err != nil || got != name {
					t.Errorf("a create that comes alone: %q, %v; want %q", got, err, name)
				}
			}
			if _, err := c.Create(parent+"/3#", nil, zk.FlagEphemeralSequential, zk.WorldACL(zk.PermAll)); !errors.Is(err, zk.ErrNodeExists) {
				t.Errorf("a name once more: %v, want ErrNodeExists", err)
			}
			// In one transaction creates overlap for certain.
			var ops []any
			for i := range 3 {
				ops = append(ops, &zk.CreateRequest{Path: fmt.Sprintf("%s/together%d#", parent, i), Flags: zk.FlagEphemeralSequential, Acl: zk.WorldACL(zk.PermAll)})
			}
			answers, err := c.Multi(ops...)
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range []int32{math.MaxInt32, math.MinInt32, math.MinInt32 + 1} {
				if name := fmt.Sprintf("%s/together%d#%010d", parent, i, want); answers[i].String != name {
					t.Errorf("creates that overlap: %q, want %q", answers[i].String, name)
				}
			}
		})
	}
}

// TestChurnOverTheEnd: where the counter of a lock's node ends, as in its middle, one
// holds the lock at a time, tokens rise, and nobody waits in vain.
func TestChurnOverTheEnd(t *testing.T) {
	t.Parallel()
	for what, start := range map[string]int32{"the end of the range": orderly - 30, "the end of the counter": math.MaxInt32 - 30} {
		for _, kind := range servers.ZooKeepers() {
			for _, stays := range []bool{true, false} { // if it is emptied once, its numbers begin again
				t.Run(fmt.Sprintf("%s, %v, stays: %v", what, kind, stays), func(t *testing.T) {
					t.Parallel()
					ns := locktest.Namespace()
					s := servers.Start(t, kind, aged(ns, "k", start, stays))
					churn(t, ns, s.Addr())
					if stays {
						wantEnd(t, raw(t, s.Addr()), ns)
					}
				})
			}
		}
	}
}

// TestChurnOverTheEndOfEnsemble: clients of several servers, which show them the queue
// sooner and later.
func TestChurnOverTheEndOfEnsemble(t *testing.T) {
	t.Parallel()
	ns := locktest.Namespace()
	c := servers.StartCluster(t, servers.ZooKeeper, 3, aged(ns, "k", math.MaxInt32-30, true))
	churn(t, ns, c.Addrs()...)
	wantEnd(t, raw(t, c.Addrs()...), ns)
}

// wantEnd wants the numbers of a lock to have been at their end: else nothing was tested.
func wantEnd(t *testing.T, server *zk.Conn, ns string) {
	t.Helper()
	if !hasGuard(t, server, ns) {
		t.Error("there is no guard: the end was not reached")
	}
}

// hasGuard tells whether the lock's node has the one that keeps earlier builds out.
func hasGuard(t *testing.T, server *zk.Conn, ns string) bool {
	t.Helper()
	exists, _, err := server.Exists(fmt.Sprintf("%s/~guard#%d", parentOf(ns, "k"), orderly))
	if err != nil {
		t.Fatalf("Exists: %v", err)
	}
	return exists
}

// churn has clients of several servers lock and unlock, so often that numbers which begin
// 30 before an end go over it.
func churn(t *testing.T, ns string, addrs ...string) {
	t.Helper()
	const clients, workers, hold, times = 8, 2, 3 * time.Millisecond, 7
	var book locktest.Ledger
	var holders atomic.Int32
	var running sync.WaitGroup
	for i := range clients {
		c := open(t, addrs[i%len(addrs)], ns, 10*time.Second)
		for range workers {
			running.Go(func() {
				for range times {
					// It has long to wait, but not for ever.
					l, err := lockWithin(t, c, "k", 4*soon)
					if err != nil {
						t.Errorf("Lock: %v", err)
						return
					}
					if n := holders.Add(1); n != 1 {
						t.Errorf("%d hold the lock", n)
					}
					book.Record(t, l)
					time.Sleep(hold)
					holders.Add(-1)
					locktest.Unlock(t, l)
				}
			})
		}
	}
	running.Wait()
}

func lockWithin(t *testing.T, c *fencelock.Client, key string, d time.Duration) (*fencelock.Lease, error) {
	ctx, cancel := contextFor(t, d)
	defer cancel()
	return c.Lock(ctx, key)
}

// TestQueueOverTheEnd: a queue whose numbers go over an end is served in order, and
// Inspect and Evict find its holder.
func TestQueueOverTheEnd(t *testing.T) {
	t.Parallel()
	const waiters = 8
	for what, start := range map[string]int32{"the end of the range": orderly - 4, "the end of the counter": math.MaxInt32 - 4} {
		for _, kind := range servers.ZooKeepers() {
			t.Run(fmt.Sprintf("%s, %v", what, kind), func(t *testing.T) {
				t.Parallel()
				ns := locktest.Namespace()
				s := servers.Start(t, kind, aged(ns, "k", start, false))
				var clients []*fencelock.Client
				for range 1 + waiters { // of one client only one stands in the queue
					clients = append(clients, open(t, s.Addr(), ns, 20*time.Second))
				}
				var book locktest.Ledger
				held := lock(t, clients[0], "k")
				book.Record(t, held)
				var waiting []<-chan locktest.Attempt
				for i := range waiters {
					waiting = append(waiting, locktest.StartLock(t.Context(), clients[1+i], "k"))
					awaitWaiters(t, clients[0], "k", i+1)
				}
				for i, w := range waiting {
					st, err := clients[1].Inspect(t.Context(), "k")
					if err != nil || !st.Held() || st.Holders[0].Token != held.Token() || st.Waiters != waiters-i {
						t.Errorf("Inspect = %+v, %v; want %v and %d waiters", st, err, held.Token(), waiters-i)
					}
					if i == waiters/2 {
						if _, err := clients[1].Evict(t.Context(), "k", ""); err != nil {
							t.Errorf("Evict: %v", err)
						}
						locktest.ExpectLost(t, held, soon)
					} else {
						locktest.Unlock(t, held)
					}
					held = locktest.ExpectLock(t, w, soon)
					book.Record(t, held)
					for _, later := range waiting[i+1:] {
						if len(later) > 0 {
							t.Fatal("two hold the lock")
						}
					}
				}
				locktest.Unlock(t, held)
				server := raw(t, s.Addr())
				if exists, _, err := server.Exists(parentOf(ns, "k")); err != nil || exists {
					t.Errorf("the lock's node is there with %q when all have left (%v): its numbers do not begin again", claims(t, server, parentOf(ns, "k")), err)
				}
				locktest.Unlock(t, lock(t, clients[0], "k"))
			})
		}
	}
}

// aged has a server begin with the node of a lock, below which so many claims were made
// already; and with a node in it that is none, if it is to stay. To make them would take
// weeks. It is a plain node, which the server would not sweep before it is used.
func aged(ns, key string, claims int32, stays bool) servers.Option {
	const zxid = "1000" // the last transaction, which a snapshot's name tells
	nodes := []snapshotNode{
		{path: ""},
		{path: "/zookeeper"},
		{path: "/zookeeper/config"},
		{path: "/zookeeper/quota"},
		{path: "/" + ns},
		{path: parentOf(ns, key), children: claims},
	}
	if stays {
		nodes = append(nodes, snapshotNode{path: parentOf(ns, key) + "/stays"})
	}
	return servers.File("version-2/snapshot."+zxid, snapshot(nodes))
}

type snapshotNode struct {
	path     string // "" is the root
	children int32  // that were made in it
}

// snapshot is a file of a server's data: as FileSnap, DataTree.serialize and StatPersisted
// write it, without sessions, lists of rights and what was added later and may be left out.
func snapshot(nodes []snapshotNode) []byte {
	const (
		magic      = "ZKSN"
		version    = 2
		openUnsafe = -1 // whoever may do whatever
	)
	var b []byte
	number := func(n int32) { b = binary.BigEndian.AppendUint32(b, uint32(n)) }
	long := func(n int64) { b = binary.BigEndian.AppendUint64(b, uint64(n)) }
	text := func(s string) {
		number(int32(len(s)))
		b = append(b, s...)
	}
	b = append(b, magic...)
	number(version)
	long(-1)  // the database's number
	number(0) // sessions
	number(0) // lists of rights
	for _, n := range nodes {
		text(n.path)
		text("") // its data
		long(openUnsafe)
		for range 4 { // czxid, mzxid, ctime, mtime
			long(0)
		}
		number(0) // version
		number(max(n.children, int32(countBelow(nodes, n.path))))
		number(0) // version of its rights
		long(0)   // the session that it goes with
		long(0)   // pzxid
	}
	text("/") // the end
	long(int64(adler32.Checksum(b)))
	text("/")
	return b
}

func countBelow(nodes []snapshotNode, path string) (count int) {
	for _, n := range nodes {
		if at := strings.LastIndexByte(n.path, '/'); at >= 0 && n.path[:at] == path {
			count++
		}
	}
	return count
}
