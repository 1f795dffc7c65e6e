package attempts

import "testing"

func TestTombstones(t *testing.T) {
	type claimID struct{ key, attemptID string }
	var r Tombstones[claimID]
	id := func(i int) claimID { return claimID{"k", string(rune(i))} }
	for i := range MaxTombstones + 10 {
		r.Add(id(i))
		r.Add(id(i)) // counts once
	}
	for i := range MaxTombstones + 10 {
		if got, want := r.Has(id(i)), i >= 10; got != want {
			t.Fatalf("Has(%d) = %v", i, got)
		}
	}
	if r.Has(claimID{"other", id(20).attemptID}) {
		t.Errorf("an attempt that was released on one key is kept out of another")
	}
	if n := len(r.ids); n != MaxTombstones || len(r.ring) != MaxTombstones {
		t.Errorf("%d attempts are remembered in a ring of %d, want %d", n, len(r.ring), MaxTombstones)
	}
}
