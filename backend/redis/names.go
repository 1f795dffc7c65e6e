package redis

import (
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// names are those of a namespace's keys, and of the client's channel.
type names struct {
	namespace string
	shards    [shards]string // what the names of locks begin with
	channel   string         // of this client: where its notifications come
	client    any            // the same, made an argument of scripts once
	counter   any            // the name of the namespace's token counter, likewise
	tagged    bool           // the names are those of a Cluster: see lockKey
}

func newNames(namespace, client string) names {
	channel := namespace + ":c:" + client
	return names{namespace: namespace, shards: shardNames(namespace), channel: channel, client: channel, counter: namespace + ":t"}
}

// shards is the number of hash tags in a namespace. It is part of the format: builds before this layout
// had a token counter for each.
const shards = 128

// shard returns what the name of a lock begins with: the namespace and a hash tag. It is the same as in builds
// before this layout, so that each sees what the other holds. The last letter of a name tells what it names,
// so that no key of an application can collide with another's: l a lock, t a token counter.
func (n *names) shard(key string) string {
	const prime, start = 16777619, 2166136261 // FNV-1a
	h := uint32(start)
	for i := range len(key) {
		h = (h ^ uint32(key[i])) * prime
	}
	return n.shards[h%shards]
}

func shardNames(namespace string) (names [shards]string) {
	for i := range names {
		names[i] = namespace + ":{" + strconv.Itoa(i) + "}:"
	}
	return names
}

// lockKey is the name of a key's lock. On a Cluster the key itself is the hash tag, up to its first }, so that locks are
// in as many slots as there are; an empty tag is none, and the whole name counts. The 128 tags of one server would be
// 128 slots that all locks are in. A namespace has no braces, and each script is about one lock: so it does not matter
// what the tag is.
func (n *names) lockKey(key string) string {
	if n.tagged {
		return n.namespace + ":{" + key + "}:l"
	}
	return n.shard(key) + key + ":l"
}

// keyOf is the inverse of lockKey; ok is false for any other name.
func (n *names) keyOf(name string) (key string, ok bool) {
	if n.tagged {
		key, _ = strings.CutPrefix(name, n.namespace+":{")
		key, ok = strings.CutSuffix(key, "}:l")
	} else {
		_, rest, _ := strings.Cut(name, "}:")
		key, ok = strings.CutSuffix(rest, ":l")
	}
	return key, ok && key != "" && n.lockKey(key) == name
}

// pattern is one that SCAN takes, for the names of locks whose keys begin with a prefix. It matches more besides. On a
// Cluster no } comes before the first *, for a server that sees a whole hash tag in a pattern looks at one slot only,
// and Redis takes for a tag in a pattern what is none in a name.
func (n *names) pattern(prefix string) string {
	if n.tagged {
		return n.namespace + ":{" + strings.ReplaceAll(glob(prefix), "}", "?") + "*}:l"
	}
	return n.namespace + ":{*}:" + glob(prefix) + "*:l"
}

// serverTTL is a TTL as the scripts take it, in ms, plus one: the scripts cut the time to whole ms,
// and a lease must not end early on the server.
func serverTTL(ttl time.Duration) string { return strconv.FormatInt(ttl.Milliseconds()+1, 10) }

// lastTTL remembers what serverTTL made: mostly a client has one TTL.
type lastTTL struct{ last atomic.Pointer[ttlText] }

type ttlText struct {
	ttl  time.Duration
	text string
}

func (l *lastTTL) text(ttl time.Duration) string {
	last := l.last.Load()
	if last == nil || last.ttl != ttl {
		last = &ttlText{ttl, serverTTL(ttl)}
		l.last.Store(last)
	}
	return last.text
}
