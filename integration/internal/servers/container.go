package servers

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"
)

// container is a server in Docker.
type container struct {
	docker *client.Client
	id     string
	shared string // directory that it shares with us, for its socket; or ""
}

func (m *container) start(ctx context.Context) error {
	_, err := m.docker.ContainerStart(ctx, m.id, client.ContainerStartOptions{})
	return err
}

func (m *container) kill(ctx context.Context) error {
	_, err := m.docker.ContainerKill(ctx, m.id, client.ContainerKillOptions{Signal: "SIGKILL"})
	return err
}

// stop must not fall back to SIGKILL, which would pass for an orderly end.
func (m *container) stop(ctx context.Context) error {
	forever := -1
	_, err := m.docker.ContainerStop(ctx, m.id, client.ContainerStopOptions{Timeout: &forever})
	return err
}

func (m *container) pause(ctx context.Context) error {
	_, err := m.docker.ContainerPause(ctx, m.id, client.ContainerPauseOptions{})
	return err
}

func (m *container) unpause(ctx context.Context) error {
	_, err := m.docker.ContainerUnpause(ctx, m.id, client.ContainerUnpauseOptions{})
	return err
}

func (m *container) running(ctx context.Context) bool {
	c, err := m.docker.ContainerInspect(ctx, m.id, client.ContainerInspectOptions{})
	return err == nil && c.Container.State != nil && c.Container.State.Running
}

func (m *container) remove(ctx context.Context) (err error) {
	if m.id != "" {
		_, err = m.docker.ContainerRemove(ctx, m.id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	}
	if m.shared != "" {
		err = errors.Join(err, os.RemoveAll(m.shared))
	}
	return err
}

func (m *container) log(ctx context.Context) string {
	out, err := m.docker.ContainerLogs(ctx, m.id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: "30"})
	if err != nil {
		return err.Error()
	}
	defer out.Close()
	var all bytes.Buffer
	if _, err := stdcopy.StdCopy(&all, &all, out); err != nil {
		return err.Error()
	}
	return lastLines(all.Bytes())
}

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

// clusterNetwork is where the members of a cluster in Docker find each other, by name, and
// nobody else is.
type clusterNetwork struct {
	docker   *client.Client
	id, name string
	subnet   netip.Prefix
	gateway  netip.Addr // clients on this machine come from here
	fixed    bool       // its members keep their addresses, at which clients reach them, too
}

func newNetwork(ctx context.Context, docker *client.Client) (*clusterNetwork, error) {
	return createNetwork(ctx, docker, nil)
}

// newFixedNetwork makes one in which members have addresses that they keep through a restart. An engine lets those be
// chosen only where the subnet was: so it is asked for the one that it has just chosen itself.
func newFixedNetwork(ctx context.Context, docker *client.Client) (*clusterNetwork, error) {
	for try := 1; ; try++ {
		free, err := newNetwork(ctx, docker)
		if err != nil {
			return nil, err
		}
		if err := free.remove(ctx); err != nil {
			return nil, err
		}
		n, err := createNetwork(ctx, docker, &network.IPAM{Config: []network.IPAMConfig{{Subnet: free.subnet, Gateway: free.gateway}}})
		if err == nil {
			n.fixed = true
			return n, nil
		}
		if try == 5 { // others have been quicker to take it
			return nil, err
		}
	}
}

// member is the address of the i-th in a fixed network.
func (n *clusterNetwork) member(i int) netip.Addr {
	addr := n.subnet.Masked().Addr()
	for range i + 1 {
		if addr = addr.Next(); addr == n.gateway {
			addr = addr.Next()
		}
	}
	return addr
}

func createNetwork(ctx context.Context, docker *client.Client, ipam *network.IPAM) (*clusterNetwork, error) {
	n := &clusterNetwork{docker: docker, name: "fencelock-" + strings.ToLower(rand.Text()[:12])}
	labels := ownLabels()
	testcontainers.AddGenericLabels(labels)
	no := false
	made, err := docker.NetworkCreate(ctx, n.name, client.NetworkCreateOptions{Driver: "bridge", EnableIPv6: &no, IPAM: ipam, Labels: labels})
	if err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	n.id = made.ID
	found, err := docker.NetworkInspect(ctx, n.id, client.NetworkInspectOptions{})
	if err == nil && len(found.Network.IPAM.Config) == 0 {
		err = fmt.Errorf("%s has no subnet", n.name)
	}
	if err != nil {
		_ = n.remove(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("network: %w", err)
	}
	n.subnet, n.gateway = found.Network.IPAM.Config[0].Subnet, found.Network.IPAM.Config[0].Gateway
	return n, nil
}

func (n *clusterNetwork) remove(ctx context.Context) error {
	_, err := n.docker.NetworkRemove(ctx, n.id, client.NetworkRemoveOptions{})
	return err
}
