package fleet

import (
	"testing"
	"time"
)

// TestEdition: a client sends to a node that is replaced, and then, when it has learnt that, to one that stays.
// Both answer; that the edition has changed is all that tells.
func TestEdition(t *testing.T) {
	run(t, func(t *testing.T) {
		all := append(listed(t, 3, ""), newFake(4))
		f := open(t, named(all, 0, 1, 2))
		if n := f.Edition(); n == 0 || n%2 != 0 {
			t.Errorf("the edition is %d at first", n)
		}
		before := f.Edition()
		if err := send(f, 2); err != nil {
			t.Error(err)
		}
		if _, err := replace(t, named(all, 0, 1, 3)); err != nil { // h3, which is not down
			t.Fatal(err)
		}
		_, _ = send(f, 0), send(f, 1)
		pass(2 * time.Second)
		if err := send(f, 0); err != nil {
			t.Error(err)
		}
		if n := f.Edition(); n == before || n%2 != 0 {
			t.Errorf("the edition was %d, and is %d", before, n)
		}
		before = f.Edition()
		all[0].restart(false)
		_ = send(f, 0)
		pass(2 * time.Second)
		if err := send(f, 0); err != nil || f.Edition() != before {
			t.Errorf("%v: the edition is %d after a restart, want %d", err, f.Edition(), before)
		}
	})
}
