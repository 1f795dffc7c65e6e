package redis

import (
	"context"
	"crypto/sha1" //nolint:gosec // Redis names scripts by their SHA-1
	_ "embed"
	"encoding/hex"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

//go:embed lua/lib.lua
var libLua string

//go:embed lua/acquire_fast.lua
var acquireFastLua string

//go:embed lua/acquire.lua
var acquireLua string

//go:embed lua/release_fast.lua
var releaseFastLua string

//go:embed lua/release.lua
var releaseLua string

//go:embed lua/renew.lua
var renewLua string

//go:embed lua/evict.lua
var evictLua string

//go:embed lua/inspect.lua
var inspectLua string

// script is a Lua script and the name by which the server knows it.
type script struct{ source, sha string }

func newScript(parts ...string) *script {
	source := strings.Join(parts, "\n")
	sum := sha1.Sum([]byte(source)) //nolint:gosec // not a secret
	return &script{source: source, sha: hex.EncodeToString(sum[:])}
}

var (
	acquireScript = newScript(acquireFastLua, libLua, acquireLua)
	releaseScript = newScript(releaseFastLua, libLua, releaseLua)
	renewScript   = newScript(libLua, renewLua)
	evictScript   = newScript(libLua, evictLua)
	inspectScript = newScript(libLua, inspectLua)

	allScripts = []*script{acquireScript, releaseScript, renewScript, evictScript, inspectScript}
)

// eval runs a script in one round trip. A server that has forgotten it (it was
// restarted, or somebody flushed its scripts) says so without having run it, and
// gets the source.
func (b *backend) eval(ctx context.Context, timeout time.Duration, s *script, keys []string, args ...any) (any, error) {
	reply, err := b.send(ctx, timeout, "evalsha", s.sha, keys, args)
	if err != nil && goredis.HasErrorPrefix(err, "NOSCRIPT") {
		reply, err = b.send(ctx, timeout, "eval", s.source, keys, args)
	}
	return reply, err
}

func (b *backend) send(ctx context.Context, timeout time.Duration, verb, script string, keys []string, args []any) (any, error) {
	words := make([]any, 0, 3+len(keys)+len(args))
	words = append(words, verb, script, len(keys))
	for _, k := range keys {
		words = append(words, k)
	}
	cmd := goredis.NewCmd(ctx, append(words, args...)...)
	if err := b.pipe.do(ctx, timeout, cmd); err != nil {
		return nil, err
	}
	return cmd.Result()
}
