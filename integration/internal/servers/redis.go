package servers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// redis makes a Kind of what its servers have in common.
func redis(name, variable, image, own, program, release string) Kind {
	product, _, _ := strings.Cut(name, " ")
	return Kind{
		name: name, product: product, variable: variable, image: image, own: own,
		program: program, cure: fmt.Sprintf("put %s on PATH (Debian: apt-get install %[1]s)", program), release: release,
		ports: ports{plain: 6379, tls: 6380}, versionArgs: []string{"--version"}, sockets: true,
		setup: redisSetup, ping: redisPing, askVersion: redisVersion,
	}
}

var (
	// Redis70 is the oldest Redis that is supported.
	Redis70 = redis("Redis 7.0", "REDIS70", "redis:7.0.15", "fencelock/redis-debian:bookworm", "redis-server", "7.0.")
	// Redis is the current Redis.
	Redis = redis("Redis", "REDIS", "redis:8.10.2", "fencelock/redis-debian:trixie", "redis-server", "8+")
	// Valkey is the current Valkey.
	Valkey = redis("Valkey", "VALKEY", "valkey/valkey:9.1.2", "fencelock/redis-debian:trixie", "valkey-server", "8+")
)

// Redises are the servers with which backend/redis is tested now: see [newest].
func Redises() []Kind { return newest(AllRedises()) }

// AllRedises are the servers that backend/redis supports.
func AllRedises() []Kind { return []Kind{Redis70, Redis, Valkey} }

// kindVariable names a kind of server, as its String does: "Valkey".
const kindVariable = "FENCELOCK_KIND"

// RedisKind is of [AllRedises] the one that a variable names, or else the current Redis. It is for tests that run with one of them
// in CI, and with each by `make sentinel-matrix` and `make cluster-matrix`.
func RedisKind(t T) Kind {
	t.Helper()
	only := os.Getenv(kindVariable)
	if only == "" {
		return Redis
	}
	at := slices.IndexFunc(AllRedises(), func(k Kind) bool { return k.String() == only })
	if at < 0 {
		t.Fatalf("servers: %s is %q: it can be one of %v", kindVariable, only, AllRedises())
	}
	return AllRedises()[at]
}

// redisSetup makes a server that keeps nothing on disk, which a test changes by its
// own arguments.
func redisSetup(l layout, o options) setup {
	args := []string{
		"--port", strconv.Itoa(l.plain), "--bind", l.host, "--protected-mode", "no",
		"--dir", l.dir, "--save", "", "--appendonly", "no", "--daemonize", "no",
	}
	if o.tls != nil {
		args = append(args, "--tls-port", strconv.Itoa(l.tls), "--tls-ca-cert-file", Dir+"/ca.pem",
			"--tls-cert-file", Dir+"/server.pem", "--tls-key-file", Dir+"/server.key")
	}
	if o.socket {
		args = append(args, "--unixsocket", l.socket, "--unixsocketperm", "777")
	}
	return setup{args: append(args, o.args...)}
}

// redisPing is content with any answer of such a server but "still loading": one that wants a
// password is up.
func redisPing(ctx context.Context, addr string) error {
	line, err := askServer(ctx, addr, "PING\r\n", func(r *bufio.Reader) (string, error) { return r.ReadString('\n') })
	if err == nil && (strings.HasPrefix(line, "-LOADING") || !strings.HasPrefix(line, "-") && !strings.HasPrefix(line, "+")) {
		return errors.New(strings.TrimSpace(line))
	}
	return err
}

// redisVersion asks for Valkey's version, or else Redis's: Valkey answers with
// both, and the second is a courtesy.
func redisVersion(ctx context.Context, addr string) (string, error) {
	info, err := askServer(ctx, addr, "INFO server\r\n", func(r *bufio.Reader) (string, error) {
		head, err := r.ReadString('\n')
		if err != nil {
			return "", err
		}
		size, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(head, "$")))
		if err != nil {
			return "", fmt.Errorf("INFO: %s", strings.TrimSpace(head))
		}
		body := make([]byte, size)
		_, err = io.ReadFull(r, body)
		return string(body), err
	})
	if err != nil {
		return "", err
	}
	for _, field := range []string{"valkey_version:", "redis_version:"} {
		if _, rest, ok := strings.Cut(info, field); ok {
			version, _, _ := strings.Cut(rest, "\r\n")
			return version, nil
		}
	}
	return "", errors.New("INFO tells no version")
}

// StartMasters starts servers that know nothing of each other, all at the same time, one of each
// kind in the list, which may name a kind twice. They are one test's, as with [Start]; with [TLS]
// all have the same authority.
func StartMasters(t T, kinds []Kind, opts ...Option) []*Server {
	t.Helper()
	o := collect(opts)
	all, err := startMasters(kinds, o)
	t.Cleanup(func() {
		for _, c := range all {
			if t.Failed() {
				t.Logf("the last words of %v at %s:\n%s", c, c.members[0].addr, c.members[0].lastWords())
			}
		}
		if err := removeMasters(all); err != nil {
			t.Errorf("servers: %v", err)
		}
	})
	if err != nil {
		t.Fatalf("servers: %v", err)
	}
	return servers(all)
}

// SharedMasters returns such servers that all tests of the process share, and that none of them
// may kill, stop or pause, nor change. Who asks first says how they are started: all have to ask
// for the same.
func SharedMasters(t T, kinds []Kind, opts ...Option) []*Server {
	t.Helper()
	if !underMain.Load() {
		t.Fatalf("servers: TestMain must call servers.Main, which removes shared servers")
	}
	once, _ := sharedMasters.LoadOrStore(fmt.Sprint(kinds), sync.OnceValues(func() ([]*Server, error) {
		all, err := startMasters(kinds, collect(opts))
		if err != nil {
			return nil, errors.Join(err, removeMasters(all))
		}
		for _, c := range all {
			c.members[0].shared = true
		}
		return servers(all), nil
	}))
	all, err := once.(func() ([]*Server, error))()
	if err != nil {
		t.Fatalf("servers: %v", err)
	}
	return all
}

var sharedMasters sync.Map // names of the kinds → func() ([]*Server, error)

// startMasters returns those that have been started, also with an error.
func startMasters(kinds []Kind, o options) ([]*Cluster, error) {
	for _, k := range kinds {
		if os.Getenv(k.env("ADDR")) != "" {
			return nil, fmt.Errorf("the test needs %d servers of its own: unset %s, or choose tests that do not, with -run", len(kinds), k.env("ADDR"))
		}
	}
	found, errs := make([]*Cluster, len(kinds)), make([]error, len(kinds))
	var starting sync.WaitGroup
	for i, k := range kinds {
		starting.Go(func() { found[i], errs[i] = start(k, o, 1) })
	}
	starting.Wait()
	var all []*Cluster
	for _, c := range found {
		if c != nil {
			all = append(all, c)
		}
	}
	return all, errors.Join(errs...)
}

func removeMasters(all []*Cluster) error {
	errs := make([]error, len(all))
	var removing sync.WaitGroup
	for i, c := range all {
		removing.Go(func() { errs[i] = c.remove() })
	}
	removing.Wait()
	return errors.Join(errs...)
}

func servers(all []*Cluster) []*Server {
	list := make([]*Server, len(all))
	for i, c := range all {
		list[i] = c.members[0]
	}
	return list
}
