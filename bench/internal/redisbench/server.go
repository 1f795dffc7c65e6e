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

	"github.com/fencelock/fencelock/bench/internal/server"
)

// AddrVariable names the environment variable with the address of a running server.
const AddrVariable = "FENCELOCK_REDIS_ADDR"

// programVariable names the environment variable with the path of a server of our choice, a Valkey for
// example.
const programVariable = "FENCELOCK_REDIS_PROGRAM"

// Start uses the server at addr, or starts one when addr is empty. The latter keeps nothing on disk: what is compared is
// the cost of the locks, and a disk would only add the same noise to everybody.
func Start(ctx context.Context, addr string) (*server.Server, error) {
	return server.Start(ctx, addr, Command, startLimit, Probe)
}

// StartSeveral starts so many masters that know nothing of each other.
func StartSeveral(ctx context.Context, masters int) (*server.Server, error) {
	return server.StartSeveral(ctx, masters, func(i int, addrs []string, dir string) (*exec.Cmd, error) {
		return Command(addrs[i], dir)
	}, startLimit, Probe)
}

// UseSeveral uses the masters at addrs, which somebody else has started.
func UseSeveral(ctx context.Context, addrs []string) (*server.Server, error) {
	return server.Start(ctx, strings.Join(addrs, ","), nil, startLimit, func(ctx context.Context, _ string) (version string, err error) {
		for _, addr := range addrs {
			if version, err = Probe(ctx, addr); err != nil {
				return "", err
			}
		}
		return version, nil
	})
}

const startLimit = 10 * time.Second

// Probe asks the server at addr for its version.
func Probe(ctx context.Context, addr string) (string, error) {
	c := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
	defer func() { _ = c.Close() }()
	info, err := c.Info(ctx, "server").Result()
	return version(info), err
}

// Command runs a server that keeps nothing on disk.
func Command(addr, dir string) (*exec.Cmd, error) {
	path, err := Program()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	return exec.Command(path, "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", dir), err
}

// Program is the path of the server that is started.
func Program() (string, error) {
	path, err := exec.LookPath(cmp.Or(os.Getenv(programVariable), "redis-server"))
	if err != nil {
		return "", fmt.Errorf("there is no Redis to measure: install redis-server, name another program by %s, or a running server by -addr: %w",
			programVariable, err)
	}
	return path, nil
}

// version is the server's own: Valkey also tells that of a Redis which it is compatible with.
func version(info string) string {
	all := Fields(info)
	switch {
	case all["valkey_version"] != "":
		return "Valkey " + all["valkey_version"]
	case all["redis_version"] != "":
		return "Redis " + all["redis_version"]
	default:
		return "Redis of unknown version"
	}
}

// Fields are those of a text that INFO answers.
func Fields(info string) map[string]string {
	all := map[string]string{}
	for lines := bufio.NewScanner(strings.NewReader(info)); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok {
			all[name] = value
		}
	}
	return all
}
