package redis

import (
	"strconv"
	"strings"
)

// shards is the number of token counters in a namespace. It is part of the
// format: a key's counter must not change.
const shards = 128

// The names of everything that belongs to a key begin with the namespace and the
// key's shard, as a hash tag, so that a Cluster keeps them in one slot. The last
// letter tells what a name is of, so that no key of an application can collide
// with another's: l a lock, q and w its queue, t the last token of a shard, x a
// released owner. All but l and t are made in lib.lua, too.
func (b *backend) shard(key string) string {
	const prime, start = 16777619, 2166136261 // FNV-1a
	h := uint32(start)
	for i := range len(key) {
		h = (h ^ uint32(key[i])) * prime
	}
	return b.shards[h%shards]
}

func shardNames(namespace string) (names [shards]string) {
	for i := range names {
		names[i] = namespace + ":{" + strconv.Itoa(i) + "}:"
	}
	return names
}

func (b *backend) lockKey(key string) string { return b.shard(key) + key + ":l" }

// keyOf is the inverse of lockKey; ok is false for any other name.
func (b *backend) keyOf(name string) (key string, ok bool) {
	_, rest, _ := strings.Cut(name, "}:")
	key, ok = strings.CutSuffix(rest, ":l")
	return key, ok && key != "" && b.lockKey(key) == name
}
