package redlock

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The permissions that the package comment lists are those of the commands that the scripts call and
// the client sends, all of them and no other.
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
	scripts, err := filepath.Glob("internal/*/lua/*.lua")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	needed := make(map[string]bool)
	var asked map[string]bool
	for _, file := range scripts {
		lua, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(file) == "permissions.lua" {
			asked = names(`\{ '([A-Z]+)'`, string(lua))
			continue
		}
		maps.Copy(needed, names(`redis\.call\('([A-Z]+)'`, string(lua)))
	}
	for _, sent := range []string{"script|load", "evalsha", "eval", "subscribe", "ping", "config|get"} {
		needed[sent] = true
	}
	delete(needed, "scan") // only for ListHeld
	if !maps.Equal(documented, needed) {
		t.Errorf("documented: %q\n    needed: %q", sorted(documented), sorted(needed))
	}
	// Open asks about all of them but those that it has sent by then, or can do without, and SELECT, which not
	// everybody needs.
	delete(needed, "script|load")
	delete(needed, "config|get")
	needed["select"] = true
	if !maps.Equal(asked, needed) {
		t.Errorf("Open asks: %q\n   needed: %q", sorted(asked), sorted(needed))
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
