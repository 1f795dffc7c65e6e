package servers

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	dockercontainer "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// Labels tell whose a container is.
const (
	labelHost = "fencelock.owner.host"
	labelPID  = "fencelock.owner.pid"
)

func ownLabels() map[string]string {
	host, _ := os.Hostname()
	return map[string]string{labelHost: host, labelPID: strconv.Itoa(os.Getpid())}
}

// foreignLimit is the age at which a container of another host's tests is taken
// for left over: nobody here can tell whether its owner lives.
const foreignLimit = 6 * time.Hour

// removeLeftovers removes the containers of tests that crashed. Those of tests
// that run at the same time stay. It is a courtesy, so that it reports what it
// cannot do, and goes on.
func removeLeftovers(docker *client.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), faultLimit)
	defer cancel()
	all, err := docker.ContainerList(ctx, client.ContainerListOptions{
		All: true, Filters: make(client.Filters).Add("label", labelPID),
	})
	if err != nil {
		fmt.Fprintf(os.Stderr, "servers: cannot look for containers left over: %v\n", err)
		return
	}
	for _, c := range all.Items {
		if !abandoned(c) {
			continue
		}
		m := &container{docker: docker, id: c.ID}
		if err := m.remove(ctx); err != nil {
			fmt.Fprintf(os.Stderr, "servers: cannot remove a container left over: %v\n", err)
		}
	}
}

func abandoned(c dockercontainer.Summary) bool {
	host, err := os.Hostname()
	if err != nil || c.Labels[labelHost] != host {
		return time.Since(time.Unix(c.Created, 0)) > foreignLimit
	}
	pid, err := strconv.Atoi(c.Labels[labelPID])
	return err != nil || syscall.Kill(pid, 0) == syscall.ESRCH
}
