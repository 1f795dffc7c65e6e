package recipe

import (
	"sync/atomic"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/script"
)

// floors are the highest counts that this client has seen, by shard. A Take asks for one more, so
// that all nodes answer with the same count, and one round is enough. They are hints: no order of
// tokens rests on them.
type floors [script.Shards]atomic.Uint64

// next is what a Take of a key should make of the counter, at least.
func (f *floors) next(key string) uint64 { return f[script.Shard(key)].Load() + 1 }

// saw takes in the count of a key's shard.
func (f *floors) saw(key string, count uint64) {
	highest := &f[script.Shard(key)]
	for old := highest.Load(); count > old; old = highest.Load() {
		if highest.CompareAndSwap(old, count) {
			return
		}
	}
}
