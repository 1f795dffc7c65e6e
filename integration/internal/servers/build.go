package servers

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/fencelock/fencelock/integration/images"
)

// build runs the project's script, which is compiled in, and returns what it
// prints.
func build(ctx context.Context, args ...string) (string, error) {
	dir, err := os.MkdirTemp("", "fencelock-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	if err := os.CopyFS(dir, images.Files); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "bash", append([]string{filepath.Join(dir, "build.sh")}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build.sh: %w (its reason is above)", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// buildEtcd builds an etcd from its source, unless it is in the cache.
func buildEtcd(version string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), imageLimit)
	defer cancel()
	return build(ctx, "--etcd", version)
}

// debianZooKeeper puts the script that starts Debian's ZooKeeper beside the
// programs in the cache.
func debianZooKeeper(Kind) (string, error) {
	const jar = "/usr/share/java/zookeeper.jar"
	if _, err := os.Stat(jar); err != nil {
		return "", fmt.Errorf("there is no %s", jar)
	}
	if _, err := exec.LookPath("java"); err != nil {
		return "", fmt.Errorf("java is not on PATH")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	script, err := fs.ReadFile(images.Files, "zkServer.sh")
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "fencelock")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	// Tests of another package may write it at the same time, or run it.
	own, err := os.MkdirTemp(dir, "zookeeper-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(own)
	draft, final := filepath.Join(own, "zkServer.sh"), filepath.Join(dir, "zkServer.sh")
	if err := os.WriteFile(draft, script, 0o755); err != nil {
		return "", err
	}
	return final, os.Rename(draft, final)
}
