package servers

import (
	"context"
	"errors"
	"fmt"

	dockercontainer "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// faults is no server: it is an image that has a shell and iptables, which those
// of servers have not.
var faults = Kind{
	name: "iptables", variable: "FAULTS", image: "nicolaka/netshoot:v0.13", own: "fencelock/faults-debian:trixie",
}

// runBeside runs a script in a container that lives for as long as that takes, and
// shares the network of the server's.
func runBeside(ctx context.Context, server *container, image, script string) error {
	docker := server.docker
	made, err := docker.ContainerCreate(ctx, client.ContainerCreateOptions{
		Config: &dockercontainer.Config{
			Image: image, Labels: ownLabels(), User: "root",
			Entrypoint: []string{"sh", "-c", script}, Cmd: []string{},
		},
		HostConfig: &dockercontainer.HostConfig{
			NetworkMode: dockercontainer.NetworkMode("container:" + server.id), CapAdd: []string{"NET_ADMIN"},
		},
	})
	if err != nil {
		return err
	}
	beside := &container{docker: docker, id: made.ID}
	defer func() { _ = beside.remove(context.WithoutCancel(ctx)) }()
	// To begin to wait after the start could be too late to learn of the end.
	wait := docker.ContainerWait(ctx, made.ID, client.ContainerWaitOptions{Condition: dockercontainer.WaitConditionNextExit})
	if err := beside.start(ctx); err != nil {
		return err
	}
	select {
	case end := <-wait.Result:
		if end.StatusCode != 0 {
			return fmt.Errorf("%s: %s", image, beside.log(ctx))
		}
		return nil
	case err := <-wait.Error:
		if err == nil {
			err = errors.New("it has gone")
		}
		return err
	}
}
