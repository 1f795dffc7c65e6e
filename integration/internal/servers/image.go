package servers

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
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
