package redis

import (
	"testing"

	"github.com/fencelock/fencelock/backend/redis/internal/acltest"
)

// The permissions that the package comment lists are those of the commands that
// the scripts call and the client sends, all of them and no other.
func TestDocumentedPermissions(t *testing.T) {
	p := acltest.Permissions{
		Doc:         "doc.go",
		Scripts:     []string{acquireFastLua, acquireLua, libLua, releaseFastLua, releaseLua, renewFastLua, renewLua, evictLua, inspectLua, listLua, formatLua, endLua},
		Asks:        permissionsLua,
		Sent:        []string{"info", "script|load", "evalsha", "eval", "subscribe", "ping"},
		Unasked:     []string{"info", "script|load"},
		KeyCommands: keyCommands,
	}
	if err := p.Check(); err != nil {
		t.Error(err)
	}
}
