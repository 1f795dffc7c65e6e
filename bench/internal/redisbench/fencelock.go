package redisbench

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	redisbackend "github.com/fencelock/fencelock/backend/redis"
	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/ours"
	"github.com/fencelock/fencelock/bench/internal/server"
)

func fenceLock(addr string) contest.Contestant {
	c := ours.Contestant(addr, "is granted in order, by push", func(addr string) string { return url(addr, ours.Namespace) })
	timed := c.Open
	c.Open = func(ctx context.Context, o contest.Options) (contest.Client, error) {
		if o.Dial != nil {
			return openCounted(ctx, addr, o)
		}
		return timed(ctx, o)
	}
	return c
}

func url(addr, namespace string) string { return "redis://" + addr + "?namespace=" + namespace }

// openCounted sets the connections up as the URL does, but for the dialer, which a URL cannot carry.
func openCounted(ctx context.Context, addr string, o contest.Options) (contest.Client, error) {
	conns := redis.NewClient(&redis.Options{Addr: addr, Dialer: o.Dial, MaxRetries: -1, ContextTimeoutEnabled: true})
	b, err := redisbackend.New(ctx, conns, &redisbackend.Options{Namespace: ours.Namespace})
	if err != nil {
		_ = conns.Close()
		return nil, err
	}
	c, err := fencelock.New(b, ours.Options(o))
	if err != nil {
		_ = b.Close()
		_ = conns.Close()
		return nil, err
	}
	return &ours.Client{Client: c, Connections: conns}, nil
}

// AddrVariable names the environment variable with the address of a running server.
const AddrVariable = "FENCELOCK_REDIS_ADDR"

// programVariable names the environment variable with the path of a server of our choice, a Valkey for
// example.
const programVariable = "FENCELOCK_REDIS_PROGRAM"

// Start uses the server at addr, or starts one when addr is empty. The latter keeps nothing on disk: what is compared is
// the cost of the locks, and a disk would only add the same noise to everybody.
func Start(ctx context.Context, addr string) (*server.Server, error) {
	return server.Start(ctx, addr, command, startLimit, probe)
}

// StartSeveral starts so many masters that know nothing of each other.
func StartSeveral(ctx context.Context, masters int) (*server.Server, error) {
	return server.StartSeveral(ctx, masters, func(i int, addrs []string, dir string) (*exec.Cmd, error) {
		return command(addrs[i], dir)
	}, startLimit, probe)
}

// UseSeveral uses the masters at addrs, which somebody else has started.
func UseSeveral(ctx context.Context, addrs []string) (*server.Server, error) {
	return server.Start(ctx, strings.Join(addrs, ","), nil, startLimit, func(ctx context.Context, _ string) (version string, err error) {
		for _, addr := range addrs {
			if version, err = probe(ctx, addr); err != nil {
				return "", err
			}
		}
		return version, nil
	})
}

const startLimit = 10 * time.Second

func probe(ctx context.Context, addr string) (string, error) {
	c := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
	defer func() { _ = c.Close() }()
	info, err := c.Info(ctx, "server").Result()
	return version(info), err
}

func command(addr, dir string) (*exec.Cmd, error) {
	path, err := exec.LookPath(cmp.Or(os.Getenv(programVariable), "redis-server"))
	if err != nil {
		return nil, fmt.Errorf("there is no Redis to measure: install redis-server, name another program by %s, or a running server by -addr or %s: %w",
			programVariable, AddrVariable, err)
	}
	_, port, err := net.SplitHostPort(addr)
	return exec.Command(path, "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", dir), err
}

// version is the server's own: Valkey also tells that of a Redis which it is compatible with.
func version(info string) string {
	all := fields(info)
	switch {
	case all["valkey_version"] != "":
		return "Valkey " + all["valkey_version"]
	case all["redis_version"] != "":
		return "Redis " + all["redis_version"]
	default:
		return "Redis of unknown version"
	}
}

// fields are those of a text that INFO answers.
func fields(info string) map[string]string {
	all := map[string]string{}
	for lines := bufio.NewScanner(strings.NewReader(info)); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok {
			all[name] = value
		}
	}
	return all
}
