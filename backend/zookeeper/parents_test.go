package zookeeper

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver"
)

// use takes and frees the lock of a key once.
func use(t *testing.T, b *backend, key string) driver.Grant {
	t.Helper()
	id := fmt.Sprint("u", attemptIDs.Add(1))
	g, err := b.Acquire(t.Context(), driver.Request{Key: key, AttemptID: id, TTL: 10 * time.Second, Wait: true})
	if err != nil {
		t.Fatalf("Acquire of %s: %v", key, err)
	}
	if err := b.Release(t.Context(), g); err != nil {
		t.Fatalf("Release of %s: %v", key, err)
	}
	return g
}

var attemptIDs atomic.Int64

// TestIdleParentsAreDeleted: the nodes of locks that this client does not use go some seconds
// later, together; those in use stay, and tokens rise through it.
func TestIdleParentsAreDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		b := on(t, f)
		const keys = 3 * maxDeleted
		last := make(map[string]driver.Grant)
		for i := range keys {
			key := fmt.Sprint("k", i)
			last[key] = use(t, b, key)
		}
		held, err := b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "holder", TTL: 30 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		other := on(t, f.another())
		theirs, err := other.Acquire(t.Context(), driver.Request{Key: "k7", AttemptID: "theirs", TTL: 30 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Delete("/ns/k9", -1); err != nil { // the server's sweep
			t.Fatal(err)
		}
		multis := f.count("multi")
		time.Sleep(parentIdle / 2)
		for i := range 10 { // these are used again
			key := fmt.Sprint("k", 100+i)
			last[key] = use(t, b, key)
		}
		used := f.count("multi")
		time.Sleep(parentIdle/2 + time.Second)
		left := f.under("/ns")
		if len(left) != 10+2+2 { // two in use, with a claim each
			t.Errorf("%d nodes are left: %q", len(left), left)
		}
		if n := f.count("multi") - used; n > keys/maxDeleted+2 || used < multis {
			t.Errorf("it took %d transactions to delete %d", n, keys)
		}
		time.Sleep(parentIdle)
		if left := f.under("/ns"); len(left) != 4 {
			t.Errorf("%d nodes are left: %q", len(left), left)
		}
		for _, key := range []string{"k0", "k7", "k9"} {
			if key == "k7" {
				if err := other.Release(t.Context(), theirs); err != nil {
					t.Error(err)
				}
			}
			if g := use(t, b, key); g.Token <= last[key].Token || key == "k7" && g.Token <= theirs.Token {
				t.Errorf("%s: token %v after %v", key, g.Token, last[key].Token)
			}
		}
		if err := b.Release(t.Context(), held); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * parentIdle)
		if left := f.under("/ns"); len(left) != 0 {
			t.Errorf("left behind: %q", left)
		}
	})
}

// TestIdleIsNotInUse: a lock that is used now and then, or held, or waited for, keeps its node.
func TestIdleIsNotInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		b := on(t, f)
		for range 10 {
			use(t, b, "k")
			time.Sleep(parentIdle * 3 / 4)
		}
		if n := f.count("createContainer"); n != 1 {
			t.Errorf("the node was made %d times", n)
		}
	})
}

// TestForbiddenToDelete: who may not delete nodes tries it once.
func TestForbiddenToDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		b := on(t, f)
		f.refuse = func(op any) error {
			if d, ok := op.(*zk.DeleteRequest); ok && !strings.Contains(d.Path, "#") {
				return zk.ErrNoAuth
			}
			return nil
		}
		for i := range 5 {
			use(t, b, fmt.Sprint("k", i))
			time.Sleep(3 * parentIdle)
		}
		if n := deletions(f); n != 1 {
			t.Errorf("tried it %d times", n)
		}
	})
}

func deletions(f *fake) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, ops := range f.multis {
		if d, ok := ops[0].(*zk.DeleteRequest); ok && !strings.Contains(d.Path, "#") {
			n++
		}
	}
	return n
}

// TestParentIsDeletedAgainAndAgain: somebody deletes a lock's node whenever it was made, which
// they may while it is empty. The lock is granted when that is over, however often it was.
func TestParentIsDeletedAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		b := on(t, f)
		until := time.Now().Add(2 * time.Second)
		times := 0
		f.onMulti = func(ops []any) {
			if c, ok := ops[0].(*zk.CreateRequest); ok && strings.HasPrefix(c.Path, "/ns/k/") && time.Now().Before(until) {
				time.Sleep(20 * time.Millisecond)
				if f.Delete("/ns/k", -1) == nil {
					times++
				}
			}
		}
		release(t, b, acquire(t, b, "a"))
		if times < 50 {
			t.Errorf("the node was deleted %d times: nothing is tested", times)
		}
	})
}

// TestClaimAgainstSweep: a claim that comes while its lock's node is deleted, before or
// after, is granted.
func TestClaimAgainstSweep(t *testing.T) {
	for _, before := range []bool{true, false} { // the claim comes
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			b, other := on(t, f), on(t, f.another())
			use(t, b, "k")
			use(t, b, "l")
			var g driver.Grant
			var once sync.Once
			f.mu.Lock()
			f.onMulti = func(ops []any) {
				if d, ok := ops[0].(*zk.DeleteRequest); !ok || d.Path != "/ns/k" {
					return
				}
				once.Do(func() {
					if !before {
						f.mu.Lock()
						_ = f.remove("/ns/k")
						f.mu.Unlock()
					}
					var err error
					if g, err = other.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "late", TTL: 30 * time.Second}); err != nil {
						t.Errorf("before: %v: %v", before, err)
					}
				})
			}
			f.mu.Unlock()
			time.Sleep(2 * parentIdle)
			synctest.Wait()
			if g.Token == 0 {
				t.Fatal("nothing is tested")
			}
			if left := f.under("/ns"); !slices.Contains(left, "/ns/k") || slices.Contains(left, "/ns/l") {
				t.Errorf("before: %v: left: %q", before, left)
			}
			if err := other.Release(t.Context(), g); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestParentsAreBounded: more than that are deleted before they are idle for long; what is
// still more, while the server does not answer, is forgotten.
func TestParentsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		swept := 0
		var p *parents
		p = newParents(func() {
			for idle := p.takeIdle(); len(idle) > 0; idle = p.takeIdle() {
				swept += len(idle)
			}
			p.swept()
		})
		inUse := p.enter("in use", false)
		name := func(i int) string { return fmt.Sprint("/ns/", i) }
		for i := range maxParents + 10 {
			p.leave(p.enter(name(i), false))
		}
		time.Sleep(3 * crowdedIdle)
		synctest.Wait()
		if swept != 11 || !p.has("in use") || !p.has(name(maxParents+9)) {
			t.Errorf("deleted %d, want as many as are too many", swept)
		}
		p.mu.Lock()
		p.sweeping = true // there is no answer
		p.mu.Unlock()
		for i := range 3 * maxParents {
			p.leave(p.enter(name(i), false))
		}
		if n := len(p.known); n > 2*maxParents+1 || n != len(p.queue) || !p.has("in use") {
			t.Errorf("%d are remembered, %d in the queue", n, len(p.queue))
		}
		p.leave(inUse)
		p.stop()
	})
}

// TestRefusedDeletion: one of many that is not empty has the others go all the same.
func TestRefusedDeletion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		b, other := on(t, f), on(t, f.another())
		var paths []string
		for i := range 20 {
			use(t, b, fmt.Sprint("k", i))
			paths = append(paths, fmt.Sprint("/ns/k", i))
		}
		for _, key := range []string{"k3", "k19"} {
			if _, err := other.Acquire(t.Context(), driver.Request{Key: key, AttemptID: "other", TTL: 30 * time.Second}); err != nil {
				t.Fatal(err)
			}
		}
		before := f.count("multi")
		b.nodes.delete(b.pool.Open(), paths)
		if n := f.count("multi") - before; n != 2 {
			t.Errorf("%d transactions, want two", n)
		}
		if left := f.under("/ns"); len(left) != 4 {
			t.Errorf("left: %q", left)
		}
		if _, err := b.Acquire(t.Context(), driver.Request{Key: "k3", AttemptID: "me", TTL: time.Second}); !errors.Is(err, driver.ErrHeld) {
			t.Errorf("Acquire = %v, want ErrHeld", err)
		}
	})
}
