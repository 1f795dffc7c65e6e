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
type script struct {
	source string
	name   any // a string, made an argument of a command once
}

var evalsha any = "evalsha"

func newScript(parts ...string) *script {
	source := strings.Join(parts, "\n")
	sum := sha1.Sum([]byte(source)) //nolint:gosec // not a secret
	return &script{source: source, name: hex.EncodeToString(sum[:])}
}

var (
	acquireScript = newScript(acquireFastLua, libLua, acquireLua)
	releaseScript = newScript(releaseFastLua, libLua, releaseLua)
	renewScript   = newScript(libLua, renewLua)
	evictScript   = newScript(libLua, evictLua)
	inspectScript = newScript(libLua, inspectLua)

	allScripts = []*script{acquireScript, releaseScript, renewScript, evictScript, inspectScript}
)

// eval runs a script in one round trip; args are its keys and arguments. A server
// that has forgotten it (it was restarted, or somebody flushed its scripts) says
// so without having run it, and gets the source.
func (b *backend) eval(ctx context.Context, timeout time.Duration, s *script, keys int, args ...any) (any, error) {
	words := make([]any, 0, 3+len(args))
	cmd := goredis.NewCmd(ctx, append(append(words, evalsha, s.name, keys), args...)...)
	err := b.pipe.do(ctx, timeout, cmd)
	if err != nil && goredis.HasErrorPrefix(err, "NOSCRIPT") {
		cmd = goredis.NewCmd(ctx, append([]any{"eval", s.source, keys}, args...)...)
		err = b.pipe.do(ctx, timeout, cmd)
	}
	if err != nil {
		return nil, err // cmd may still be under way: do not look at it
	}
	return cmd.Val(), nil
}
