package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"

	"github.com/moby/moby/api/pkg/stdcopy"
	dockercontainer "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// container is a server in Docker.
type container struct {
	docker *client.Client
	id     string
	shared string // directory that it shares with us, for its socket; or ""
}

// Directories inside a container: Redis's image has made the first its own.
const (
	containerDir    = "/data"
	containerShared = "/run/fencelock"
)

func startContainer(k Kind, o options, image string) (*Server, error) {
	docker, err := engine()
	if err != nil {
		return nil, err
	}
	outside, err := freePorts()
	if err != nil {
		return nil, err
	}
	m := &container{docker: docker}
	s := &Server{
		kind: k, where: fmt.Sprintf("in Docker (%s)", image),
		addr: loopback(outside.plain), certs: o.tls, machine: m,
	}
	publish := map[int]int{k.ports.plain: outside.plain}
	if o.tls != nil {
		publish[k.ports.tls] = outside.tls
		s.tlsAddr = loopback(outside.tls)
	}
	if o.socket {
		if m.shared, err = sharedDir(); err != nil {
			return nil, err
		}
		s.socket = filepath.Join(m.shared, "server.sock")
	}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	inside := layout{host: "0.0.0.0", ports: k.ports, dir: containerDir}
	args := o.commandLine(k, inside, containerShared+"/server.sock")
	if err = m.create(ctx, image, append([]string{k.program}, args...), o.files, publish); err == nil {
		if err = s.await(ctx); err == nil {
			s.version, err = imageVersion(ctx, docker, image, m.id, k.program)
		}
	}
	if err != nil {
		_ = m.remove(context.WithoutCancel(ctx))
		return nil, err
	}
	return s, nil
}

// sharedDir is open to all, since the server in the container is another user.
func sharedDir() (string, error) {
	dir, err := os.MkdirTemp("", "fencelock-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o777)
}

// create starts a new container with ports published on the loopback interface.
func (m *container) create(ctx context.Context, image string, cmd []string, files map[string][]byte, publish map[int]int) error {
	opts := []testcontainers.ContainerCustomizer{
		testcontainers.WithCmd(cmd...),
		testcontainers.WithLabels(ownLabels()),
	}
	bindings := network.PortMap{}
	for inside, outside := range publish {
		port := network.MustParsePort(strconv.Itoa(inside) + "/tcp")
		bindings[port] = []network.PortBinding{{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: strconv.Itoa(outside)}}
		opts = append(opts, testcontainers.WithExposedPorts(port.String()))
	}
	for name, content := range files {
		opts = append(opts, testcontainers.WithFiles(testcontainers.ContainerFile{
			Reader: bytes.NewReader(content), ContainerFilePath: containerDir + "/" + name, FileMode: 0o644,
		}))
	}
	opts = append(opts, testcontainers.WithHostConfigModifier(func(h *dockercontainer.HostConfig) {
		h.PortBindings = bindings
		if m.shared != "" {
			h.Binds = append(h.Binds, m.shared+":"+containerShared)
		}
	}))
	c, err := testcontainers.Run(ctx, image, opts...)
	if c != nil {
		m.id = c.GetContainerID()
	}
	return err
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
