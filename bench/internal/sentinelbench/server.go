package sentinelbench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/bench/internal/redisbench"
	"github.com/fencelock/fencelock/bench/internal/server"
)

// AddrVariable names the environment variable with the addresses of running Sentinels, commas between, a slash, and the
// name of the master.
const AddrVariable = "FENCELOCK_SENTINEL_ADDR"

const (
	masterName = "bench"
	usualName  = "mymaster" // of the master of Sentinels that somebody else has started
	servers    = 3          // a master and its replicas
	sentinels  = 3
	quorum     = 2

	startLimit = 20 * time.Second
)

// The times of Sentinel that are started here. The first is when a master is down that does not answer. The second, of
// which a Sentinel waits twice before it tries again to be elected, is shorter than usual, so that a tie is no outlier.
const (
	downAfter       = time.Second
	failoverTimeout = 3 * time.Second
)

// rueidisRefresh is what its documentation recommends.
const rueidisRefresh = 5 * time.Second

// split takes an address apart.
func split(addr string) (addrs []string, name string) {
	all, name, _ := strings.Cut(addr, "/")
	return strings.Split(all, ","), cmp.Or(name, usualName)
}

// Start uses the Sentinels at addr, or starts some, and the servers that they watch.
func Start(ctx context.Context, addr string) (*server.Server, error) {
	if addr != "" {
		return server.Start(ctx, addr, nil, startLimit, use)
	}
	g := &group{}
	data, err := server.StartSeveral(ctx, servers, g.server, startLimit, replicated)
	if err != nil {
		return nil, err
	}
	master, _, _ := strings.Cut(data.Addr, ",")
	watch, err := server.StartSeveral(ctx, sentinels, func(i int, addrs []string, dir string) (*exec.Cmd, error) {
		g.sentinels = addrs
		return sentinel(addrs[i], dir, master)
	}, startLimit, ready)
	if err != nil {
		data.Stop()
		return nil, err
	}
	all := data.With(watch)
	all.Addr = watch.Addr + "/" + masterName
	all.Version = fmt.Sprintf("%s, %d Sentinels (down-after %s), a master and %d replicas", data.Version, sentinels, downAfter, servers-1)
	return all, nil
}

// use asks Sentinels that somebody else has started.
func use(ctx context.Context, addr string) (string, error) {
	addrs, name := split(addr)
	for _, a := range addrs {
		master, err := masterOf(ctx, a, name)
		if err != nil {
			return "", err
		}
		if _, err := redisbench.Probe(ctx, master); err != nil {
			return "", err
		}
	}
	version, err := redisbench.Probe(ctx, addrs[0])
	return version + ", Sentinel", err
}

// group is a master with its replicas.
type group struct {
	sentinels []string // none while it is started for the first time
}

// server runs one of them, as a replica unless it leads. One that is started again asks who does.
func (g *group) server(i int, addrs []string, dir string) (*exec.Cmd, error) {
	cmd, err := redisbench.Command(addrs[i], dir)
	if err != nil {
		return nil, err
	}
	leader := addrs[0]
	if len(g.sentinels) > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if leader, err = masterOf(ctx, g.sentinels[0], masterName); err != nil {
			return nil, err
		}
	}
	cmd.Args = append(cmd.Args, "--repl-diskless-sync-delay", "0")
	if leader != addrs[i] {
		host, port, _ := net.SplitHostPort(leader)
		cmd.Args = append(cmd.Args, "--replicaof", host, port)
	}
	return cmd, nil
}

// replicated is content with a master, and with a replica that has what its master has.
func replicated(ctx context.Context, addr string) (string, error) {
	c := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
	defer func() { _ = c.Close() }()
	info, err := c.Info(ctx, "replication").Result()
	if err != nil {
		return "", err
	}
	if all := redisbench.Fields(info); all["role"] != "master" && all["master_link_status"] != "up" {
		return "", errors.New("it has no link to its master yet")
	}
	return redisbench.Probe(ctx, addr)
}

// sentinel runs a Sentinel, which keeps what it learns in the file that tells it what to watch.
func sentinel(addr, dir, master string) (*exec.Cmd, error) {
	program, err := redisbench.Program()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	host, masterPort, err := net.SplitHostPort(master)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "sentinel.conf")
	text := fmt.Sprintf("bind 127.0.0.1\nport %s\ndir %q\nsentinel monitor %[3]s %[4]s %[5]s %[6]d\n"+
		"sentinel down-after-milliseconds %[3]s %[7]d\nsentinel failover-timeout %[3]s %[8]d\nsentinel parallel-syncs %[3]s %[9]d\n",
		port, dir, masterName, host, masterPort, quorum, downAfter.Milliseconds(), failoverTimeout.Milliseconds(), servers-1)
	return exec.Command(program, file, "--sentinel"), os.WriteFile(file, []byte(text), 0o600)
}
