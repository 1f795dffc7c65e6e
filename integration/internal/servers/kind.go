package servers

import (
	"context"
	"strconv"
	"strings"
)

// Kind is a server that can be started: one line of a table, to which etcd and
// ZooKeeper will be added.
type Kind struct {
	name     string // for people
	product  string // the same without the release
	variable string // FENCELOCK_<variable>_ADDR, _IMAGE, _PROGRAM
	image    string // the official one, pinned
	debian   string // ours, built by images/build.sh where no registry answers
	program  string // looked for on PATH where there is no Docker
	pkg      string // Debian's package with the program
	release  string // what the version of a program on PATH must be; see fits
	ports    ports  // inside a container

	// args are the arguments every such server gets, before those of the test.
	args func(l layout) []string
	// ping returns nil if the server answers, whatever it says.
	ping func(ctx context.Context, addr string) error
	// askVersion asks a server that we have not started.
	askVersion func(ctx context.Context, addr string) (string, error)
}

// ports are those of one server; tls and socket are used if a test asks for them.
type ports struct{ plain, tls int }

// layout tells a server where to listen and where its files are.
type layout struct {
	host string
	ports
	dir string
}

var (
	// Redis70 is the oldest Redis that is supported.
	Redis70 = Kind{
		name: "Redis 7.0", product: "Redis", variable: "REDIS70",
		image: "redis:7.0.15", debian: "fencelock/redis-debian:bookworm",
		program: "redis-server", pkg: "redis-server", release: "7.0.", ports: redisPorts,
		args: redisArgs, ping: redisPing, askVersion: redisVersion,
	}
	// Redis is the current Redis.
	Redis = Kind{
		name: "Redis", product: "Redis", variable: "REDIS",
		image: "redis:8.10.2", debian: "fencelock/redis-debian:trixie",
		program: "redis-server", pkg: "redis-server", release: "8+", ports: redisPorts,
		args: redisArgs, ping: redisPing, askVersion: redisVersion,
	}
	// Valkey is the current Valkey.
	Valkey = Kind{
		name: "Valkey", product: "Valkey", variable: "VALKEY",
		image: "valkey/valkey:9.1.2", debian: "fencelock/redis-debian:trixie",
		program: "valkey-server", pkg: "valkey-server", release: "8+", ports: redisPorts,
		args: redisArgs, ping: redisPing, askVersion: redisVersion,
	}
)

// Kinds lists all there are.
func Kinds() []Kind { return []Kind{Redis70, Redis, Valkey} }

func (k Kind) String() string { return k.name }

// env is the name of a variable about this kind.
func (k Kind) env(what string) string { return "FENCELOCK_" + k.variable + "_" + what }

// fits reports whether a version is one of the release that is wanted: "7.0." is a
// prefix, "8+" a major version or a later one.
func (k Kind) fits(version string) bool {
	least, orLater := strings.CutSuffix(k.release, "+")
	if !orLater {
		return strings.HasPrefix(version, k.release)
	}
	want, _ := strconv.Atoi(least)
	major, _, _ := strings.Cut(version, ".")
	got, err := strconv.Atoi(major)
	return err == nil && got >= want
}
