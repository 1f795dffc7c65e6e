package redlock

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/fencelock/fencelock/backend/redis/internal/acltest"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/script"
)

// The permissions that the package comment lists are those of the commands that the scripts call and
// the client sends, all of them and no other.
func TestDocumentedPermissions(t *testing.T) {
	files, err := filepath.Glob("internal/*/lua/*.lua")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	p := acltest.Permissions{
		Doc:         "doc.go",
		Sent:        []string{"script|load", "evalsha", "eval", "subscribe", "ping", "config|get"},
		Optional:    []string{"scan"},
		Unasked:     []string{"script|load", "config|get"},
		KeyCommands: script.NewNames("ns").Permissions("c").KeyCommands,
	}
	for _, file := range files {
		lua, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(file) == "permissions.lua" {
			p.Asks = string(lua)
		} else {
			p.Scripts = append(p.Scripts, string(lua))
		}
	}
	if err := p.Check(); err != nil {
		t.Error(err)
	}
}
