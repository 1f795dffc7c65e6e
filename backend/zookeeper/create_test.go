package zookeeper

import (
	"testing"

	"github.com/go-zookeeper/zk"
)

// TestFreeLockIsOneRequest: what the answer to the create does not tell is asked for,
// and nothing else.
func TestFreeLockIsOneRequest(t *testing.T) {
	f := newFake()
	b := on(t, f)
	release(t, b, acquire(t, b, "warm")) // makes the lock's node
	token := func(id string, requests int) {
		t.Helper()
		before := f.total()
		g := acquire(t, b, id)
		if n := f.total() - before; n != requests {
			t.Errorf("%s: %d requests, want %d", id, n, requests)
		}
		f.mu.Lock()
		nodes := 0
		for name, n := range f.nodes {
			if n.session != 0 {
				nodes++
				if int64(g.Token) != n.czxid {
					t.Errorf("%s: token %v, want the czxid of %s, %d", id, g.Token, name, n.czxid)
				}
			}
		}
		f.mu.Unlock()
		if nodes != 1 {
			t.Errorf("%s: %d claims", id, nodes)
		}
		release(t, b, g)
	}
	token("free", 1)
	if _, err := f.Create("/ns/k/stranger", nil, zk.FlagPersistent, nil); err != nil {
		t.Fatal(err)
	}
	token("besides a stranger's node", 2) // the list
	if err := f.Delete("/ns/k/stranger", -1); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	f.unwritable = true
	f.mu.Unlock()
	token("who learns that it may not write", 4) // refused, create, list, look
	token("who may not write", 3)
}

// TestNotAloneIsNotFirst: a claim that has others before it waits, although the answer
// to its create came.
func TestNotAloneIsNotFirst(t *testing.T) {
	f := newFake()
	b := on(t, f)
	g := acquire(t, b, "a")
	next := enqueue(t, b, "b", 1)
	if len(next) > 0 {
		t.Fatal("two hold the lock")
	}
	release(t, b, g)
	release(t, b, get(t, next))
}

// TestSweptParent: a lock whose node was there and is gone, which the server does to
// those that are not used, gets a new one, also if its create went with others.
func TestSweptParent(t *testing.T) {
	f, b, free := busy(t)
	if err := f.Delete("/ns/k", -1); err != nil {
		t.Fatal(err)
	}
	k, l := try(t, soon(t), b, "k", "a", true), try(t, soon(t), b, "l", "b", true)
	parked(t, b, 2)
	free()
	release(t, b, get(t, k))
	release(t, b, get(t, l))
}
