package cluster_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
)

// TestListHeld: the locks under a prefix are listed from all masters, byte for byte, whatever braces are in their keys, and
// whatever else is there.
func TestListHeld(t *testing.T) {
	t.Parallel()
	e := startEnv(t)
	b := e.dial(t)
	keys := []string{
		"a", "a/1", "a/2", "a*", "a?b", "a[b]", `a\`, "a\nb", "a:l", "aé", "b", "A", "{", "}", "{}", "}{", "{a}", "{1}:a", "a}b", "a}b}c", "a}bc", "}}a", "}a}b",
		strings.Repeat("a", driver.MaxKeyLen),
	}
	for i := range 100 {
		keys = append(keys, fmt.Sprint("many/", i))
	}
	for i, key := range keys {
		if _, err := b.Acquire(t.Context(), driver.Request{Key: key, AttemptID: fmt.Sprint("a", i), Identity: "me", TTL: time.Minute}); err != nil {
			t.Fatalf("Acquire(%q): %v", key, err)
		}
		// What a server thinks is the slot of the name is what the client sends it to: else this would be MOVED.
		if n := e.admin.Exists(t.Context(), e.lockKey(key)).Val(); n != 1 {
			t.Fatalf("%q has not its name", key)
		}
	}
	for _, name := range []string{"a-string", "{b}:t"} {
		if err := e.admin.Set(t.Context(), e.ns+":"+name, "x", time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.admin.RPush(t.Context(), e.lockKey("a-list"), "x").Err(); err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"", "a", "a/", "a*", "a?", "a[", `a\`, "a:", "{", "}", "{}", "}}", "}a", "}a}", "a}", "a}b", "a}b}", "aé"[:2], "many/", "none"} {
		var want []string
		for _, key := range keys {
			if strings.HasPrefix(key, prefix) {
				want = append(want, key)
			}
		}
		for _, limit := range []int{1, 7, 100_000} {
			if limit == 1 && prefix != "a}" {
				continue
			}
			locktest.ExpectKeys(t, locktest.ListHeld(t, b, prefix, limit), want...)
		}
	}
	for _, cursor := range []string{"x", "0", "s.1", "s.-1.0"} {
		if _, err := b.ListHeld(t.Context(), "", cursor, 10); !errors.Is(err, driver.ErrInvalid) {
			t.Errorf("cursor %q: %v, want ErrInvalid", cursor, err)
		}
	}
	if _, err := b.ListHeld(t.Context(), "", "0123456789abcdef.1.0", 10); !errors.Is(err, driver.ErrUnavailable) || !strings.Contains(err.Error(), "first page") {
		t.Errorf("a cursor of another map: %v", err)
	}
}
