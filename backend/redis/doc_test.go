package redis

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The permissions that the package comment lists are those of the commands that
// the scripts call and the client sends, all of them and no other.
func TestDocumentedPermissions(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rules, ok := strings.Cut(string(text), "ACL SETUSER locks")
	if !ok {
		t.Fatal("the package comment has no ACL SETUSER")
	}
	rules, _, _ = strings.Cut(rules, "\n//\n")
	documented := make(map[string]bool)
	for _, w := range strings.Fields(rules) {
		if name, ok := strings.CutPrefix(w, "+"); ok {
			documented[name] = true
		}
	}
	needed := names(`redis\.call\('([A-Z]+)'`,
		acquireFastLua+acquireLua+libLua+releaseFastLua+releaseLua+renewLua+evictLua+inspectLua)
	for _, sent := range []string{"info", "script|load", "evalsha", "eval", "subscribe", "ping"} {
		needed[sent] = true
	}
	if !maps.Equal(documented, needed) {
		t.Errorf("documented: %q\n    needed: %q", sorted(documented), sorted(needed))
	}

	// Open asks about all of them but those that it has sent by then, and SELECT, which
	// not everybody needs.
	delete(needed, "info")
	delete(needed, "script|load")
	needed["select"] = true
	asked := names(`\{ '([A-Z]+)'`, permissionsLua)
	if !maps.Equal(asked, needed) {
		t.Errorf("Open asks: %q\n   needed: %q", sorted(asked), sorted(needed))
	}
	if n := len(names(`\{ '([A-Z]+)'[^}]*\bk\b`, permissionsLua)); n != keyCommands {
		t.Errorf("%d commands of permissions.lua name a key; keyCommands is %d", n, keyCommands)
	}
}

// names are what a pattern finds in Lua, in lower case.
func names(pattern, lua string) map[string]bool {
	all := make(map[string]bool)
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(lua, -1) {
		all[strings.ToLower(m[1])] = true
	}
	return all
}

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
