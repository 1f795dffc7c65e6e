// Package script turns what package wire says into Lua scripts that a node runs, and their replies back.
//
// Each script is one step of the node. It does nothing, and says so ([Unfit]), unless the node is
// what the client expects: the same member of the same list, in the same boot.
package script

import (
	_ "embed"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
)

//go:embed lua/lib.lua
var libLua string

//go:embed lua/tail.lua
var tailLua string

//go:embed lua/take_fast.lua
var takeFastLua string

//go:embed lua/take.lua
var takeLua string

//go:embed lua/write_back.lua
var writeBackLua string

//go:embed lua/renew.lua
var renewLua string

//go:embed lua/repair.lua
var repairLua string

//go:embed lua/end_fast.lua
var endFastLua string

//go:embed lua/end.lua
var endLua string

//go:embed lua/look.lua
var lookLua string

//go:embed lua/scan.lua
var scanLua string

//go:embed lua/holders.lua
var holdersLua string

//go:embed lua/permissions.lua
var permissionsLua string

// Only a renewal has connections of its own, so that others do not delay it. Only what may be
// carried out twice is sent again where a connection turns out to be closed.
var (
	take      = node.NewScript(takeFastLua, libLua, takeLua, tailLua)
	writeBack = node.NewScript(libLua, writeBackLua, tailLua)
	renew     = node.NewScript(libLua, renewLua, tailLua).Dedicated().Idempotent()
	repair    = node.NewScript(libLua, repairLua, tailLua)
	end       = node.NewScript(endFastLua, libLua, endLua, tailLua)
	look      = node.NewScript(libLua, lookLua, tailLua).Idempotent()
	scan      = node.NewScript(scanLua).Idempotent()
	holders   = node.NewScript(holdersLua).Idempotent()

	permissions = node.NewScript(permissionsLua)
)

// All are the scripts that a node must know.
var All = []*node.Script{take, writeBack, renew, repair, end, look, scan, holders, permissions}
