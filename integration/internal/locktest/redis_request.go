package locktest

import (
	"crypto/sha1"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"

	"github.com/fencelock/fencelock/integration/internal/proxy"
)

// RedisRequest matches the requests that run one of the scripts of backend/redis: "acquire",
// "release", "renew". It is for the packages beside integration/redis, whose tests run in
// their own directory.
func RedisRequest(name string) func(request []byte) bool {
	script := runs("../../backend/redis/lua", name, "lib", name, "end")
	return func(request []byte) bool {
		return script(request) || name == "release" && NativeDelete(request)
	}
}

// NativeDelete matches the commands by which a server that has them releases a lock without a script.
func NativeDelete(request []byte) bool {
	return proxy.Command("delex")(request) || proxy.Command("delifeq")(request)
}

// RedlockRequest does so for those of backend/redis/redlock: "take", "write_back", "renew",
// "repair", "end", "look".
func RedlockRequest(name string) func(request []byte) bool {
	return runs("../../backend/redis/redlock/internal/script/lua", name, "lib", name, "tail")
}

// runs matches the requests that run a script of several files: its head, if it has one or all have the same, and parts.
func runs(dir, name string, parts ...string) func(request []byte) bool {
	file := func(part string) string { return filepath.Join(dir, part+".lua") }
	for _, head := range []string{name + "_fast", "each"} {
		if _, err := os.Stat(file(head)); err == nil {
			parts = append([]string{head}, parts...)
			break
		}
	}
	var sources []string
	for _, part := range parts {
		source, err := os.ReadFile(file(part))
		if err != nil {
			panic(err)
		}
		sources = append(sources, string(source))
	}
	sum := sha1.Sum([]byte(strings.Join(sources, "\n")))
	return proxy.Command("evalsha", hex.EncodeToString(sum[:]))
}
