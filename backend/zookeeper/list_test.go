package zookeeper

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver"
)

// listAll returns the keys of all pages, and how many pages there were.
func listAll(t *testing.T, b *backend, prefix string, limit int) (keys []string, pages int) {
	t.Helper()
	for cursor := ""; ; {
		page, err := b.ListHeld(soon(t), prefix, cursor, limit)
		if err != nil {
			t.Fatalf("ListHeld: %v", err)
		}
		if len(page.Locks) > limit {
			t.Errorf("a page has %d locks, want %d at the most", len(page.Locks), limit)
		}
		pages++
		for _, st := range page.Locks {
			keys = append(keys, st.Key)
		}
		if cursor = page.Next; cursor == "" {
			return keys, pages
		}
	}
}

// TestListHeld lists what is held, page by page, and nothing else that is below the namespace's
// node: locks that were released, and nodes that are not ours.
func TestListHeld(t *testing.T) {
	f := newFake()
	b := on(t, f)
	var all, slashed []string
	for i := range 100 {
		key := fmt.Sprintf("a/%02d", i)
		if i%2 == 1 {
			key = fmt.Sprintf("b%%*%02d", i)
		} else {
			slashed = append(slashed, key)
		}
		all = append(all, key)
		for _, key := range []string{key, "released" + key} {
			g, err := b.Acquire(soon(t), driver.Request{Key: key, AttemptID: "o", Identity: "who", Meta: "what", TTL: 10 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(key, "released") {
				release(t, b, g)
			}
		}
	}
	f.mu.Lock()
	for _, foreign := range []string{"/ns/b%zz", "/ns/a%41", "/ns/%FF", "/ns/..", "/ns/a%2Fb/x"} {
		_, _ = f.create(foreign, nil, 0)
	}
	f.mu.Unlock()
	slices.Sort(all)
	for _, limit := range []int{1, 7, 100, 256} {
		if keys, _ := listAll(t, b, "", limit); !slices.Equal(keys, all) {
			t.Errorf("pages of %d: %q, want %q", limit, keys, all)
		}
		if keys, _ := listAll(t, b, "a/", limit); !slices.Equal(keys, slashed) {
			t.Errorf("pages of %d below a/: %q, want %q", limit, keys, slashed)
		}
	}
	page, err := b.ListHeld(soon(t), "a/00", "", 10)
	if err != nil || len(page.Locks) != 1 || page.Next != "" {
		t.Fatalf("ListHeld = %+v, %v, want one lock", page, err)
	}
	st, err := b.Inspect(soon(t), "a/00")
	if err != nil || !slices.Equal(page.Locks[0].Holders, st.Holders) || page.Locks[0].Waiters != -1 {
		t.Errorf("ListHeld = %+v, Inspect = %+v, %v", page.Locks[0], st, err)
	}
	if _, err := b.ListHeld(soon(t), "a/", "b", 10); !errors.Is(err, driver.ErrInvalid) {
		t.Errorf("ListHeld with a cursor of another prefix = %v, want ErrInvalid", err)
	}
}

// TestListHeldEmpty: of a namespace whose node is not there nothing is held.
func TestListHeldEmpty(t *testing.T) {
	f := newFake()
	b := on(t, f)
	if keys, pages := listAll(t, b, "", 10); len(keys) > 0 || pages != 1 {
		t.Errorf("%q on %d pages", keys, pages)
	}
	if err := f.Delete("/ns", -1); err != nil {
		t.Fatal(err)
	}
	if keys, pages := listAll(t, b, "", 10); len(keys) > 0 || pages != 1 {
		t.Errorf("%q on %d pages", keys, pages)
	}
}

// TestListHeldAtTheEnd: where numbers do not tell the order it is the holder that is listed.
func TestListHeldAtTheEnd(t *testing.T) {
	for what, from := range ends {
		b := on(t, atTheEnd(t, from))
		g := acquire(t, b, "a")
		w := enqueue(t, b, "b", 1)
		page, err := b.ListHeld(soon(t), "", "", 10)
		if err != nil || len(page.Locks) != 1 || page.Locks[0].Holders[0].AttemptID != "a" || page.Locks[0].Holders[0].Token != g.Token {
			t.Errorf("%s: ListHeld = %+v, %v, want the holder a", what, page, err)
		}
		release(t, b, g)
		release(t, b, get(t, w))
	}
}

// TestEvictOneAttempt: it ends the grant of that attempt only, not that of who comes next, and no
// position in the queue.
func TestEvictOneAttempt(t *testing.T) {
	f := newFake()
	b := on(t, f)
	g := acquire(t, b, "a")
	w := enqueue(t, b, "b", 1)
	for _, other := range []string{"b", "nobody"} {
		if err := b.Evict(soon(t), "k", other); !errors.Is(err, driver.ErrNotHeld) {
			t.Errorf("Evict of %s = %v, want ErrNotHeld", other, err)
		}
	}
	if out := b.Renew(soon(t), []driver.Grant{g}); out[0].Err != nil {
		t.Errorf("Renew of the holder: %v", out[0].Err)
	}
	if err := b.Evict(soon(t), "k", "a"); err != nil {
		t.Errorf("Evict: %v", err)
	}
	next := get(t, w)
	if err := b.Evict(soon(t), "k", "a"); !errors.Is(err, driver.ErrNotHeld) {
		t.Errorf("Evict of who was evicted = %v, want ErrNotHeld", err)
	}
	if out := b.Renew(soon(t), []driver.Grant{g, next}); !errors.Is(out[0].Err, driver.ErrNotHeld) || out[1].Err != nil {
		t.Errorf("Renew = %v and %v, want ErrNotHeld and nil", out[0].Err, out[1].Err)
	}
	release(t, b, next)
}

// TestEvictAgainstRelease: the holder leaves between the look and the deletion. The next one,
// who has the lock by then, keeps it.
func TestEvictAgainstRelease(t *testing.T) {
	f := newFake()
	b, operator := on(t, f), on(t, f.another())
	g := acquire(t, b, "a")
	w := enqueue(t, b, "b", 1)
	var next driver.Grant
	f.mu.Lock()
	f.onMulti = func(ops []any) {
		if d, ok := ops[len(ops)-1].(*zk.DeleteRequest); ok && strings.HasPrefix(d.Path, "/ns/k/a#") {
			f.mu.Lock()
			f.onMulti = nil
			f.mu.Unlock()
			release(t, b, g)
			next = get(t, w)
		}
	}
	f.mu.Unlock()
	if err := operator.Evict(soon(t), "k", "a"); !errors.Is(err, driver.ErrNotHeld) {
		t.Errorf("Evict = %v, want ErrNotHeld", err)
	}
	if out := b.Renew(soon(t), []driver.Grant{next}); out[0].Err != nil {
		t.Errorf("the next holder: %v", out[0].Err)
	}
	release(t, b, next)
}
