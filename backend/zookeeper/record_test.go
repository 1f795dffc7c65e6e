package zookeeper

import (
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
)

func TestRecord(t *testing.T) {
	for _, meta := range []string{"", "host/1", "two\nlines", "nul\x00", "é 🔒"} {
		if ttl, id, got := parseRecord(record(1500*time.Millisecond, driver.JoinIdentity("me", meta))); ttl != 1500*time.Millisecond || id != "me" || got != meta {
			t.Errorf("%q came back as %v, %q", meta, ttl, got)
		}
	}
	for _, data := range []string{"", "x", "\n", "fencelock1\nmeta", "fencelock1 x\nmeta", "fencelock2 5\nmeta", "10.0.0.1"} {
		if ttl, id, meta := parseRecord([]byte(data)); ttl != 0 || id != "" || meta != "" {
			t.Errorf("%q is read as %v, %q", data, ttl, meta)
		}
	}
}
