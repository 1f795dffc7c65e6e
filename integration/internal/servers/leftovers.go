package servers

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/moby/moby/client"
)

// made is a container or a network that tests have made: these, or others.
type made struct {
	labels  map[string]string
	created time.Time
	remove  func(context.Context) error
}

// removeLeftovers removes the containers and networks of tests that crashed. Those
// of tests that run at the same time stay. It is a courtesy, so that it reports what
// it cannot do, and goes on.
func removeLeftovers(docker *client.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), faultLimit)
	defer cancel()
	// Containers first: a network in use cannot be removed.
	for _, list := range []func(context.Context, *client.Client) ([]made, error){allContainers, allNetworks} {
		all, err := list(ctx, docker)
		errs := here().sweep(ctx, all)
		if err != nil {
			errs = append(errs, err)
		}
		for _, err := range errs {
			fmt.Fprintf(os.Stderr, "servers: cannot remove what a crash has left over: %v\n", err)
		}
	}
}

// sweep removes what is abandoned, as far as can be told in this scope.
func (p pidScope) sweep(ctx context.Context, all []made) (errs []error) {
	for _, m := range all {
		if p.abandoned(m.labels, m.created) {
			if err := m.remove(ctx); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errs
}

func allContainers(ctx context.Context, docker *client.Client) (all []made, err error) {
	found, err := docker.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: ownerLabelled()})
	for _, c := range found.Items {
		all = append(all, made{c.Labels, time.Unix(c.Created, 0), (&container{docker: docker, id: c.ID}).remove})
	}
	return all, err
}

func allNetworks(ctx context.Context, docker *client.Client) (all []made, err error) {
	found, err := docker.NetworkList(ctx, client.NetworkListOptions{Filters: ownerLabelled()})
	for _, n := range found.Items {
		all = append(all, made{n.Labels, n.Created, (&clusterNetwork{docker: docker, id: n.ID}).remove})
	}
	return all, err
}
