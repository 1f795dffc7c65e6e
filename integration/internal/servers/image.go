package servers

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"

	"github.com/fencelock/fencelock/integration/images"
)

// imageLimit bounds a pull or a build.
const imageLimit = 10 * time.Minute

var imageMutex sync.Mutex

// findImage returns an image of the kind that is present, fetching or building it
// if need be: the one a variable names, the official one, or our own. What is
// present is taken without asking a registry, so that a start needs no network.
func findImage(k Kind) (string, error) {
	docker, err := engine()
	if err != nil {
		return "", err
	}
	imageMutex.Lock()
	defer imageMutex.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), imageLimit)
	defer cancel()
	if image := os.Getenv(k.env("IMAGE")); image != "" {
		prepareTestcontainers(ctx, docker, true)
		return image, pull(ctx, docker, image)
	}
	if k.makeImage != nil {
		prepareTestcontainers(ctx, docker, true)
		return k.makeImage(ctx, docker)
	}
	switch {
	case present(ctx, docker, k.image):
		prepareTestcontainers(ctx, docker, true)
		return k.image, nil
	case present(ctx, docker, k.own):
		prepareTestcontainers(ctx, docker, false)
		return k.own, nil
	}
	unreachable := inRegistry(ctx, docker, k.image)
	prepareTestcontainers(ctx, docker, unreachable == nil)
	if unreachable == nil {
		if unreachable = pull(ctx, docker, k.image); unreachable == nil {
			return k.image, nil
		}
	}
	fmt.Fprintf(os.Stderr, "servers: no registry for %s: building %s\n", k.image, k.own)
	if _, err := build(ctx, k.own); err != nil {
		return "", fmt.Errorf("%s cannot be pulled (%w), nor %s built: %w", k.image, unreachable, k.own, err)
	}
	return k.own, nil
}

func present(ctx context.Context, docker *client.Client, image string) bool {
	_, err := docker.ImageInspect(ctx, image)
	return err == nil
}

// inRegistry returns nil if a registry answers and has the image.
func inRegistry(ctx context.Context, docker *client.Client, image string) error {
	ctx, cancel := context.WithTimeout(ctx, engineLimit)
	defer cancel()
	_, err := docker.DistributionInspect(ctx, image, client.DistributionInspectOptions{})
	return err
}

// pull leaves it to testcontainers, which knows the user's credentials.
func pull(ctx context.Context, docker *client.Client, image string) error {
	if present(ctx, docker, image) {
		return nil
	}
	fmt.Fprintf(os.Stderr, "servers: pulling %s\n", image)
	provider, err := testcontainers.NewDockerProvider(testcontainers.WithLogger(quiet{}))
	if err != nil {
		return err
	}
	defer provider.Close()
	return provider.PullImage(ctx, image)
}

// imageVersions remembers what each program of an image answered: running one in a
// container takes as long as starting the container.
var imageVersions sync.Map

// imageVersion asks the program in a running container for its version.
func imageVersion(ctx context.Context, docker *client.Client, image, id string, k Kind) (string, error) {
	key := image + " " + k.program
	if known, ok := imageVersions.Load(key); ok {
		return known.(string), nil
	}
	run, err := docker.ExecCreate(ctx, id, client.ExecCreateOptions{Cmd: append([]string{k.program}, k.versionArgs...), AttachStdout: true})
	if err != nil {
		return "", fmt.Errorf("version of %s: %w", k.program, err)
	}
	out, err := docker.ExecAttach(ctx, run.ID, client.ExecAttachOptions{})
	if err != nil {
		return "", fmt.Errorf("version of %s: %w", k.program, err)
	}
	defer out.Close()
	var text bytes.Buffer
	if _, err := stdcopy.StdCopy(&text, &text, out.Reader); err != nil {
		return "", fmt.Errorf("version of %s: %w", k.program, err)
	}
	version, err := parseVersion(text.String())
	if err == nil {
		imageVersions.Store(key, version)
	}
	return version, err
}

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
