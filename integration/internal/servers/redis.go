package servers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
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

// Redises are the servers that backend/redis supports.
func Redises() []Kind { return []Kind{Redis70, Redis, Valkey} }

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

// redisPing is content with any answer but "still loading": a server that wants a
// password is up.
func redisPing(ctx context.Context, addr string) error {
	line, err := askServer(ctx, addr, "PING\r\n", func(r *bufio.Reader) (string, error) { return r.ReadString('\n') })
	if err == nil && strings.HasPrefix(line, "-LOADING") {
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
