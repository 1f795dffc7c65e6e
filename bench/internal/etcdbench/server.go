package etcdbench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/fencelock/fencelock/bench/internal/server"
)

// AddrVariable names the environment variable with the address of a running server.
const AddrVariable = "FENCELOCK_ETCD_ADDR"

// programVariable names the one with the path of the program to start.
const programVariable = "FENCELOCK_ETCD_PROGRAM"

// Start uses the server at addr, or starts one when addr is empty. The latter syncs its log to the disk for each write as
// any etcd does: it is most of what a lock costs there.
func Start(ctx context.Context, addr string) (*server.Server, error) {
	if addr == "" {
		return StartSeveral(ctx, 1)
	}
	return server.Start(ctx, addr, nil, startLimit, probe)
}

// StartSeveral starts so many members of a cluster.
func StartSeveral(ctx context.Context, members int) (*server.Server, error) {
	path, err := program()
	if err != nil {
		return nil, err
	}
	peers := make([]string, members)
	for i := range peers {
		addr, err := server.FreeAddr()
		if err != nil {
			return nil, err
		}
		peers[i] = addr
	}
	return server.StartSeveral(ctx, members, func(i int, addrs []string, dir string) (*exec.Cmd, error) {
		return command(path, i, addrs[i], peers, dir), nil
	}, startLimit, probe)
}

const startLimit = 10 * time.Second

// probe is content with a member that knows a leader.
func probe(ctx context.Context, addr string) (string, error) {
	c, err := connect(addr, nil)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	status, err := c.Status(ctx, addr)
	if err != nil {
		return "", err
	}
	if status.Leader == 0 {
		return "", errors.New("it has no leader yet")
	}
	return "etcd " + status.Version, nil
}

// Leader is the address of the one of several that leads.
func Leader(ctx context.Context, addrs []string) (string, error) {
	c, err := connect(strings.Join(addrs, ","), nil)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for _, addr := range addrs {
		if s, err := c.Status(ctx, addr); err == nil && s.Leader == s.Header.MemberId {
			return addr, nil
		}
	}
	return "", errors.New("no etcd of the cluster leads")
}

func command(path string, i int, addr string, peers []string, dir string) *exec.Cmd {
	all := make([]string, len(peers))
	for n, peer := range peers {
		all[n] = fmt.Sprintf("bench%d=http://%s", n+1, peer)
	}
	return exec.Command(path,
		"--name", fmt.Sprintf("bench%d", i+1), "--data-dir", filepath.Join(dir, "data"), "--log-level", "error",
		"--listen-client-urls", "http://"+addr, "--advertise-client-urls", "http://"+addr,
		"--listen-peer-urls", "http://"+peers[i], "--initial-advertise-peer-urls", "http://"+peers[i],
		"--initial-cluster", strings.Join(all, ","))
}

// program finds etcd: the one that is named, on PATH, or where this project's tests keep the one that they have built.
func program() (string, error) {
	if named := os.Getenv(programVariable); named != "" {
		return named, nil
	}
	if path, err := exec.LookPath("etcd"); err == nil {
		return path, nil
	}
	built := "the cache directory" // where there is none
	if cache, err := os.UserCacheDir(); err == nil {
		built = filepath.Join(cache, "fencelock", "etcd-3.7.3", "etcd")
		if _, err := os.Stat(built); err == nil {
			return built, nil
		}
	}
	return "", fmt.Errorf("there is no etcd to measure: put etcd on PATH, name it by %s, name a running one by -addr or %s, "+
		"or let the tests build %s (make conformance BACKEND=etcd, without Docker)", programVariable, AddrVariable, built)
}
