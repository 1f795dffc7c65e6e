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
