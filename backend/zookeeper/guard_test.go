package zookeeper

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver"
)

// TestNumbersBeginAnew: past the half of the numbers, the client that empties a lock's node
// deletes it, and with it the guard.
func TestNumbersBeginAnew(t *testing.T) {
	for _, from := range []int32{halfway - 1, halfway, lastOrdered, math.MaxInt32} {
		f := newFake()
		f.from = from
		b := on(t, f)
		g := acquire(t, b, "a")
		w := enqueue(t, b, "b", 1)
		release(t, b, g)
		next := get(t, w)
		if next.Token <= g.Token {
			t.Errorf("from %d: token %v was granted after %v", from, next.Token, g.Token)
		}
		f.from = 0
		release(t, b, next)
		if left := f.under("/ns"); len(left) > 0 {
			t.Errorf("from %d: left behind: %q", from, left)
		}
		again := acquire(t, b, "c")
		if again.Token <= next.Token {
			t.Errorf("from %d: token %v was granted after %v, when the node was new", from, again.Token, next.Token)
		}
		release(t, b, again)
		if left := f.under("/ns"); len(left) != 1 {
			t.Errorf("a node whose numbers are small is left to the server's sweep: %q", left)
		}
	}
}

// TestClaimComesWhileNodeIsDeleted: one that enters between the look and the deletion
// keeps the node, and the guard.
func TestClaimComesWhileNodeIsDeleted(t *testing.T) {
	f := newFake()
	f.from = math.MaxInt32
	b, other := on(t, f), on(t, f.another())
	g := acquire(t, b, "a")
	var late driver.Grant
	var once sync.Once
	f.mu.Lock()
	f.onMulti = func(ops []any) {
		if d, ok := ops[0].(*zk.DeleteRequest); ok && d.Path == "/ns/k/"+guardName+"/stays" {
			once.Do(func() { late = acquire(t, other, "late") })
		}
	}
	f.mu.Unlock()
	release(t, b, g)
	if late.Token <= g.Token {
		t.Fatalf("token %v was granted after %v", late.Token, g.Token)
	}
	if exists, _, _ := f.Exists("/ns/k/" + guardName + "/stays"); !exists {
		t.Error("the guard is gone, and its lock is held")
	}
	release(t, other, late)
	if left := f.under("/ns"); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestEarlierBuildAtTheEnd: beyond the range no claim is granted the lock beside one of
// an earlier build, which is kept out meanwhile; up to there they have one queue.
func TestEarlierBuildAtTheEnd(t *testing.T) {
	f := newFake()
	f.from = lastOrdered - 2
	b := on(t, f)
	g := acquire(t, b, "a")
	early := f.another()
	enter := func(id string) string {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.zxid++
		node, err := early.create("/ns/k/"+id+"#", nil, zk.FlagEphemeralSequential)
		if err != nil {
			t.Fatal(err)
		}
		return node
	}
	ahead := enter("early") // the last in the range
	next := enqueue(t, b, "b", 2)
	release(t, b, g)
	eventually(t, "the guard is not needed yet", func() bool { return len(claimsLeft(f)) == 2 })
	behind := enter("behind")
	if err := early.Delete(ahead, -1); err != nil {
		t.Fatal(err)
	}
	guard := func() bool { ok, _, _ := f.Exists("/ns/k/" + guardName); return ok }
	eventually(t, "the guard is made", guard)
	if len(next) > 0 {
		t.Fatal("granted beside a claim of an earlier build")
	}
	if _, err := b.Acquire(soon(t), request("b", true)); !errors.Is(err, errEarlier) {
		t.Errorf("Acquire = %v, want the reason", err)
	}
	if err := early.Delete("/ns/k/"+guardName, -1); !errors.Is(err, zk.ErrNotEmpty) {
		t.Errorf("the guard is deleted by who takes it for a claim: %v", err)
	}
	if err := early.Delete(behind, -1); err != nil {
		t.Fatal(err)
	}
	release(t, b, acquire(t, b, "b")) // which deletes the node
	if exists, _, _ := f.Exists("/ns/k"); exists {
		t.Error("the node is there when all have left")
	}
	// A later claim looks at the queue and finds the guard. Its predecessor does not tell it that
	// it is the first, whether that is released or evicted.
	f.mu.Lock()
	f.from = math.MaxInt32
	f.mu.Unlock()
	for _, evicted := range []bool{true, false} {
		g = acquire(t, b, fmt.Sprint("c", evicted))
		f.mu.Lock()
		node := f.nodeOf(g.AttemptID)
		f.mu.Unlock()
		later := enter("later")
		_, _, told, err := early.GetW(node)
		if err != nil {
			t.Fatal(err)
		}
		if evicted {
			err = b.Evict(soon(t), "k", "")
		} else {
			err = b.Release(soon(t), g)
		}
		if event := <-told; err != nil || event.Type != zk.EventNodeDeleted {
			t.Errorf("evicted: %v: %v, and an earlier build is told %v", evicted, err, event.Type)
		}
		if !guard() {
			t.Error("the guard is gone, and an earlier build waits")
		}
		if err := early.Delete(later, -1); err != nil {
			t.Fatal(err)
		}
	}
}
