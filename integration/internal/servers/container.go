package servers

import (
	"bytes"
	"context"
	"errors"
	"os"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
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
