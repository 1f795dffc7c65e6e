package redis

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The permissions that the package comment lists are those of the commands that
// the scripts call and the client sends, all of them and no other.
func TestDocumentedPermissions(t *testing.T) {
	want := []string{ // what the client sends
		"hello", "auth", "ping", "select", "info", "script|load", "evalsha", "eval", "subscribe", "unsubscribe",
	}
	for _, m := range regexp.MustCompile(`redis\.p?call\('([A-Z]+)'`).FindAllStringSubmatch(
		acquireFastLua+acquireLua+libLua+releaseFastLua+releaseLua+renewLua+evictLua+inspectLua, -1) {
		if name := strings.ToLower(m[1]); !slices.Contains(want, name) {
			want = append(want, name)
		}
	}
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rules, ok := strings.Cut(string(text), "ACL SETUSER locks")
	if !ok {
		t.Fatal("the package comment has no ACL SETUSER")
	}
	rules, _, _ = strings.Cut(rules, "\n//\n")
	var got []string
	for _, w := range strings.Fields(rules) {
		if name, ok := strings.CutPrefix(w, "+"); ok {
			got = append(got, name)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("documented: %q\n  needed: %q", got, want)
	}
}
