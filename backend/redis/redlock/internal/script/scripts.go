// Package script turns what package wire says into Lua scripts that a node runs, and their replies back.
//
// Each script is one step of the node. It does nothing, and says so ([Unfit]), unless the node is
// what the client expects: the same member of the same list, in the same boot.
package script

import (
	_ "embed"
	"strconv"

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

// Shards is the number of counters of a namespace. It is part of the format: a key's counter must
// not change.
const Shards = 128

// Names are the names on a server of what belongs to a namespace. The letter after "redlock:" tells what
// a name is of, and an attempt, which has no colon, comes before the key, which may have any: no
// name is of two things.
type Names struct {
	prefix   string
	node     any // as an argument, made once
	counters [Shards]any
}

// NewNames makes the names of a namespace.
func NewNames(namespace string) *Names {
	n := &Names{prefix: namespace + ":redlock:"}
	n.node = n.prefix + "node"
	for i := range n.counters {
		n.counters[i] = n.prefix + "t:" + strconv.Itoa(i)
	}
	return n
}

// Node is the string that says what a node is: its list, the list's version, its identity and its
// boot. Each script compares it with what the client expects.
func (n *Names) Node() string { return n.prefix + "node" }

// ID is the string with the node's identity, which is written once.
func (n *Names) ID() string { return n.prefix + "id" }

// List is the string with the set-up record.
func (n *Names) List() string { return n.prefix + "list" }

// Counter is the string with the last count of a shard.
func (n *Names) Counter(shard int) string { return n.counters[shard].(string) }

// Channel is where a client gets its notices.
func (n *Names) Channel(client string) string { return n.prefix + "c:" + client }

func (n *Names) lock(key string) string { return n.prefix + "l:" + key }

func (n *Names) tombstone(attemptID, key string) string {
	return n.prefix + "x:" + attemptID + ":" + key
}

// Shard is which counter a key has.
func Shard(key string) int {
	const prime, start = 16777619, 2166136261 // FNV-1a
	h := uint32(start)
	for i := range len(key) {
		h = (h ^ uint32(key[i])) * prime
	}
	return int(h % Shards)
}

// Permissions is what the scripts, and a client with this channel, need to be allowed.
func (n *Names) Permissions(channel string) node.Permissions {
	return node.Permissions{
		Script:      permissions,
		Args:        []any{n.prefix + "p", channel},
		Keys:        "~" + n.prefix + "*",
		Channels:    "&" + n.prefix + "c:*",
		KeyCommands: keyCommands,
	}
}

// keyCommands is how many of the commands in permissions.lua name a key.
const keyCommands = 17
