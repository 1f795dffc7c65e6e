package zookeeper

import (
	"testing"
	"time"
)

func TestRecord(t *testing.T) {
	for _, meta := range []string{"", "host/1", "two\nlines", "nul\x00", "é 🔒"} {
		if ttl, got := parseRecord(record(1500*time.Millisecond, meta)); ttl != 1500*time.Millisecond || got != meta {
			t.Errorf("%q came back as %v, %q", meta, ttl, got)
		}
	}
	for _, data := range []string{"", "x", "\n", "fencelock1\nmeta", "fencelock1 x\nmeta", "fencelock2 5\nmeta", "10.0.0.1"} {
		if ttl, meta := parseRecord([]byte(data)); ttl != 0 || meta != "" {
			t.Errorf("%q is read as %v, %q", data, ttl, meta)
		}
	}
}

func TestReleased(t *testing.T) {
	var r released
	id := func(i int) claimID { return claimID{"k", string(rune(i))} }
	for i := range remembered + 10 {
		r.add(id(i))
		r.add(id(i))
	}
	for i := range remembered + 10 {
		if got, want := r.has(id(i)), i >= 10; got != want {
			t.Fatalf("has(%d) = %v", i, got)
		}
	}
	if r.has(claimID{"other", id(20).owner}) {
		t.Errorf("an owner that was released on one key is kept out of another")
	}
}
