package redis

import (
	"hash/fnv"
	"strconv"
	"strings"
)

// shards is the number of token counters in a namespace. It is part of the
// format: a key's counter must not change.
const shards = 128

// prefix is what the names of everything that belongs to a key begin with: the
// namespace, and the shard as a hash tag, so that a Cluster keeps them in one
// slot.
func (b *backend) prefix(key string) string {
	h := fnv.New32a()
	h.Write([]byte(key))
	return b.namespace + ":{" + strconv.Itoa(int(h.Sum32()%shards)) + "}:"
}

// The last letter tells what a name is of, so that no key of an application can
// collide with another's: l a lock, q and w its queue (named in lib.lua), t the
// last token of a shard, x a released owner.
func (b *backend) lockKey(key string) string { return b.prefix(key) + key + ":l" }

func (b *backend) scriptKeys(key, owner string) []string {
	p := b.prefix(key)
	return []string{p + key + ":l", p + "t", p + owner + ":x"}
}

// checkNamespace says what is wrong with a namespace, or nothing.
func checkNamespace(ns string) string {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-"
	switch {
	case ns == "":
		return "it is empty"
	case len(ns) > 64:
		return "it has more than 64 characters"
	case strings.Trim(ns, allowed) != "":
		return "it may have letters, digits and . _ : - only"
	}
	return ""
}
