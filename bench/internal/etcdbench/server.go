package etcdbench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
	return server.Start(ctx, addr, command, 10*time.Second, func(ctx context.Context, addr string) (string, error) {
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
	})
}

func command(addr, dir string) (*exec.Cmd, error) {
	path, err := program()
	if err != nil {
		return nil, err
	}
	peers, err := server.FreeAddr()
	if err != nil {
		return nil, err
	}
	return exec.Command(path,
		"--name", "bench", "--data-dir", filepath.Join(dir, "data"), "--log-level", "error",
		"--listen-client-urls", "http://"+addr, "--advertise-client-urls", "http://"+addr,
		"--listen-peer-urls", "http://"+peers, "--initial-advertise-peer-urls", "http://"+peers,
		"--initial-cluster", "bench=http://"+peers), nil
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
