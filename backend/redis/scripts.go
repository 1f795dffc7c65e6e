package redis

import (
	_ "embed"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
)

//go:embed lua/lib.lua
var libLua string

//go:embed lua/each.lua
var eachLua string

//go:embed lua/end.lua
var endLua string

//go:embed lua/acquire_fast.lua
var acquireFastLua string

//go:embed lua/acquire.lua
var acquireLua string

//go:embed lua/release_fast.lua
var releaseFastLua string

//go:embed lua/release.lua
var releaseLua string

//go:embed lua/renew_fast.lua
var renewFastLua string

//go:embed lua/renew.lua
var renewLua string

//go:embed lua/evict.lua
var evictLua string

//go:embed lua/inspect.lua
var inspectLua string

//go:embed lua/list.lua
var listLua string

//go:embed lua/format.lua
var formatLua string

//go:embed lua/permissions.lua
var permissionsLua string

var (
	acquireScript = node.NewScript(acquireFastLua, libLua, acquireLua, endLua)
	releaseScript = node.NewScript(releaseFastLua, libLua, releaseLua, endLua)
	renewScript   = node.NewScript(renewFastLua, libLua, renewLua, endLua).Dedicated().Idempotent()
	evictScript   = node.NewScript(eachLua, libLua, evictLua, endLua)
	inspectScript = node.NewScript(eachLua, libLua, inspectLua, endLua).Idempotent()
	listScript    = node.NewScript(eachLua, libLua, listLua, endLua).Idempotent()
	formatScript  = node.NewScript(formatLua).Idempotent()

	allScripts = []*node.Script{acquireScript, releaseScript, renewScript, evictScript, inspectScript, listScript, formatScript}

	permissionsScript = node.NewScript(permissionsLua)
)

// keyCommands is how many of the commands in permissions.lua name a key.
const keyCommands = 14

// permissions are what a client needs. mode is "cluster" on a Cluster, else empty.
func permissions(namespace, channel, mode string) node.Permissions {
	return node.Permissions{
		Script:      permissionsScript,
		Args:        []any{shardNames(namespace)[0] + "p", channel, mode},
		Keys:        "~" + namespace + ":*",
		Channels:    "&" + namespace + ":c:*",
		KeyCommands: keyCommands,
	}
}
