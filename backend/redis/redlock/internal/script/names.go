package script

import (
	"strconv"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
)

// Shards is the number of counters of a namespace. It is part of the format: a key's counter must
// not change.
const Shards = 128

// Names are the names on a server of what belongs to a namespace. The letter after "redlock:" tells what
// a name is of, and an owner, which has no colon, comes before the key, which may have any: no
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

func (n *Names) tomb(owner, key string) string { return n.prefix + "x:" + owner + ":" + key }

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
