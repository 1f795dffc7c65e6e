package servers

import (
	"context"
	"os"
	"sync"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"
)

// quiet keeps testcontainers' account of every step out of the tests' output.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

var prepareOnce sync.Once

// prepareTestcontainers sets two of its variables where its own guess would be
// wrong, before it reads them. A user's own settings are never touched.
func prepareTestcontainers(ctx context.Context, docker *client.Client, registry bool) {
	prepareOnce.Do(func() {
		tclog.SetDefault(quiet{})
		if reaperMissing(ctx, docker, registry) {
			setUnlessSet("TESTCONTAINERS_RYUK_DISABLED", "true")
		}
		if engineIsInside(ctx, docker) {
			setUnlessSet("TESTCONTAINERS_HOST_OVERRIDE", "localhost")
		}
	})
}

func setUnlessSet(variable, value string) {
	if _, set := os.LookupEnv(variable); !set {
		_ = os.Setenv(variable, value)
	}
}

// reaperMissing reports whether the image of testcontainers' reaper, which it
// starts before any other container, can not be had. What the reaper would do is
// then left to [Main] and to the next run.
func reaperMissing(ctx context.Context, docker *client.Client, registry bool) bool {
	reaper := testcontainers.ReaperDefaultImage //nolint:staticcheck // its name is not to be had otherwise
	if present(ctx, docker, reaper) {
		return false
	}
	return !registry || inRegistry(ctx, docker, reaper) != nil
}

// engineIsInside reports whether we are in a container that has an engine of its
// own. testcontainers takes us for a neighbour of the containers then, and looks
// for their ports at the gateway, while they are on our own loopback interface.
// An engine that does not know the container we are in is not the one that runs
// it.
func engineIsInside(ctx context.Context, docker *client.Client) bool {
	if _, err := os.Stat("/.dockerenv"); err != nil {
		return false
	}
	name, err := os.Hostname()
	if err != nil {
		return false
	}
	_, err = docker.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	return err != nil
}
