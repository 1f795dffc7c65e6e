// Package acltest is for tests: it compares the permissions that a package comment lists with those that the scripts and
// the client need.
package acltest

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// Permissions is what a package needs, and what it says that it needs.
type Permissions struct {
	Doc     string   // the file of the package comment, with ACL SETUSER
	Scripts []string // the Lua that is run, but for Asks
	Asks    string   // the Lua by which Open asks what is allowed

	Sent     []string // commands that the client sends itself
	Optional []string // commands in scripts that locks can do without: the ACL does not list them
	Unasked  []string // needed commands about which Open does not ask

	KeyCommands int // how many commands of Asks name a key
}

// Check tells where the ACL is not that of the commands that the scripts call and the client sends, and where Open does not
// ask about them. Open asks about SELECT besides, which not everybody needs, and may ask about ASKING, for a Cluster.
func (p Permissions) Check() error {
	text, err := os.ReadFile(p.Doc)
	if err != nil {
		return err
	}
	_, rules, ok := strings.Cut(string(text), "ACL SETUSER locks")
	if !ok {
		return errors.New("the package comment has no ACL SETUSER")
	}
	var wrong []error
	rules, _, _ = strings.Cut(rules, "\n//\n")
	documented := make(map[string]bool)
	for _, w := range strings.Fields(rules) {
		if name, ok := strings.CutPrefix(w, "+"); ok {
			documented[name] = true
		}
	}
	needed := names(`redis\.call\('([A-Z]+)'`, strings.Join(p.Scripts, "\n"))
	for _, sent := range p.Sent {
		needed[sent] = true
	}
	for _, optional := range p.Optional {
		if !needed[optional] {
			wrong = append(wrong, fmt.Errorf("no script calls %s", optional))
		}
		delete(needed, optional)
	}
	if !maps.Equal(documented, needed) {
		wrong = append(wrong, fmt.Errorf("documented: %q\n             needed: %q", sorted(documented), sorted(needed)))
	}
	for _, unasked := range p.Unasked {
		delete(needed, unasked)
	}
	needed["select"] = true
	asked := names(`\{ '([A-Z]+)'`, p.Asks)
	delete(asked, "asking")
	if !maps.Equal(asked, needed) {
		wrong = append(wrong, fmt.Errorf("asked about by Open: %q\n             needed: %q", sorted(asked), sorted(needed)))
	}
	if n := len(names(`\{ '([A-Z]+)'[^}]*\bk\b`, p.Asks)); n != p.KeyCommands {
		wrong = append(wrong, fmt.Errorf("%d commands by which Open asks name a key; want %d", n, p.KeyCommands))
	}
	return errors.Join(wrong...)
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
