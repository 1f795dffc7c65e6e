package servers

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/moby/moby/client"
)

// removeLeftovers removes the containers and networks of tests that crashed. Those
// of tests that run at the same time stay. It is a courtesy, so that it reports what
// it cannot do, and goes on.
func removeLeftovers(docker *client.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), faultLimit)
	defer cancel()
	for _, err := range append(removeContainers(ctx, docker), removeNetworks(ctx, docker)...) {
		fmt.Fprintf(os.Stderr, "servers: cannot remove what a crash has left over: %v\n", err)
	}
}

func removeContainers(ctx context.Context, docker *client.Client) (errs []error) {
	all, err := docker.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: ownerLabelled()})
	if err != nil {
		return []error{err}
	}
	for _, c := range all.Items {
		if abandoned(c.Labels, time.Unix(c.Created, 0)) {
			if err := (&container{docker: docker, id: c.ID}).remove(ctx); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errs
}

func removeNetworks(ctx context.Context, docker *client.Client) (errs []error) {
	all, err := docker.NetworkList(ctx, client.NetworkListOptions{Filters: ownerLabelled()})
	if err != nil {
		return []error{err}
	}
	for _, n := range all.Items {
		if abandoned(n.Labels, n.Created) {
			if err := (&clusterNetwork{docker: docker, id: n.ID}).remove(ctx); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errs
}
