package servers

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"strings"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// clusterNetwork is where the members of a cluster in Docker find each other, by name, and
// nobody else is.
type clusterNetwork struct {
	docker   *client.Client
	id, name string
	subnet   netip.Prefix
	gateway  netip.Addr // clients on this machine come from here
}

func newNetwork(ctx context.Context, docker *client.Client) (*clusterNetwork, error) {
	n := &clusterNetwork{docker: docker, name: "fencelock-" + strings.ToLower(rand.Text()[:12])}
	labels := ownLabels()
	testcontainers.AddGenericLabels(labels)
	no := false
	made, err := docker.NetworkCreate(ctx, n.name, client.NetworkCreateOptions{Driver: "bridge", EnableIPv6: &no, Labels: labels})
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
