package redis_test

import (
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/integration/internal/locktest"
)

// left lists the keys of a namespace that should not be there when nothing is
// held: all but the counters of tokens, and the tombstones of owners that were
// released, which end by themselves.
func left(t *testing.T, c *goredis.Client, ns string) (names []string) {
	t.Helper()
	for _, name := range namesIn(t, c, ns) {
		if !strings.HasSuffix(name, "}:t") && !strings.HasSuffix(name, ":x") {
			names = append(names, name)
		}
	}
	return names
}

func namesIn(t *testing.T, c *goredis.Client, ns string) []string {
	t.Helper()
	names, err := c.Keys(t.Context(), ns+":*").Result()
	if err != nil {
		t.Fatalf("KEYS: %v", err)
	}
	return names
}

// expectNothingLeft waits for what is cleaned up in the background, and looks at the
// tombstones.
func expectNothingLeft(t *testing.T, c *goredis.Client, ns string) {
	t.Helper()
	locktest.ExpectNothingLeft(t, func() []string { return left(t, c, ns) })
	for _, name := range namesIn(t, c, ns) {
		if life := c.PTTL(t.Context(), name).Val(); strings.HasSuffix(name, ":x") && (life < 0 || life > time.Minute) {
			t.Errorf("the tombstone %q lives for %v", name, life)
		}
	}
}
