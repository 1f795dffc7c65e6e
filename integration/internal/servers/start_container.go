package servers

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	dockercontainer "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// Directories inside a container: Redis's image has made the first its own.
const (
	containerDir    = "/data"
	containerShared = "/run/fencelock"
)

func startContainers(k Kind, o options, image string, n int) (*Cluster, error) {
	docker, err := engine()
	if err != nil {
		return nil, err
	}
	outside, err := freePorts(n)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(n)*startLimit)
	defer cancel()
	c := &Cluster{kind: k}
	if n > 1 {
		create := newNetwork
		if k.fixed {
			create = newFixedNetwork
		}
		if c.network, err = create(ctx, docker); err != nil {
			return nil, err
		}
	}
	hosts := make([]string, n) // at which clients reach them
	peers := make([]peer, n)
	for i := range n {
		hosts[i] = "127.0.0.1"
		peers[i] = peer{name: memberName(i), host: memberName(i), ports: k.ports}
		switch {
		case n == 1:
			peers[i].host = "127.0.0.1" // there is no network to know it by its name
		case k.fixed:
			hosts[i], outside[i] = c.network.member(i).String(), k.ports
			peers[i].host = hosts[i]
		}
		c.members = append(c.members, newServer(k, o, fmt.Sprintf("in Docker (%s)", image), hosts[i], outside[i], &container{docker: docker}))
	}
	if k.fixed && o.tls != nil {
		o = o.certifiedFor(hosts)
	}
	err = c.each(func(i int, s *Server) error {
		return s.launchContainer(ctx, o, image, c.network, layout{
			host: "0.0.0.0", ports: k.ports, public: outside[i], dir: containerDir, self: i, members: peers,
		})
	})
	if err == nil {
		err = c.await(ctx)
	}
	for _, s := range c.members {
		if err == nil {
			s.version, err = imageVersion(ctx, docker, image, s.machine.(*container).id, k)
		}
	}
	if err != nil {
		_ = c.destroy(context.WithoutCancel(ctx))
		return nil, err
	}
	return c, nil
}

// launchContainer does not wait until the server answers: one alone of a cluster
// never would.
func (s *Server) launchContainer(ctx context.Context, o options, image string, n *clusterNetwork, l layout) (err error) {
	m := s.machine.(*container)
	if o.socket || o.skew {
		if m.shared, err = sharedDir(); err != nil {
			return err
		}
	}
	if o.socket {
		s.socket, l.socket = filepath.Join(m.shared, "server.sock"), containerShared+"/server.sock"
	}
	with := o.complete(s.kind, l)
	with.args = append([]string{s.kind.program}, with.args...)
	if o.skew {
		if with.env, err = prepareSkew(m.shared, containerShared); err != nil {
			return err
		}
		s.skew = filepath.Join(m.shared, skewFile)
	}
	publish := map[int]int{l.plain: l.public.plain}
	if o.tls != nil {
		publish[l.tls] = l.public.tls
	}
	return m.create(ctx, image, with, publish, n, l.me())
}

// sharedDir is open to all, since the server in the container is another user.
func sharedDir() (string, error) {
	dir, err := os.MkdirTemp("", "fencelock-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o777)
}

// create starts a new container with ports published on the loopback interface. In
// a network, if there is one, it goes by its name; in a fixed one it has its own address, and nothing is published.
func (m *container) create(ctx context.Context, image string, with setup, publish map[int]int, n *clusterNetwork, me peer) error {
	opts := []testcontainers.ContainerCustomizer{
		testcontainers.WithCmd(with.args...),
		testcontainers.WithEnv(with.env),
		testcontainers.WithLabels(ownLabels()),
	}
	bindings := network.PortMap{}
	if n != nil && n.fixed {
		publish = nil
	}
	for inside, outside := range publish {
		port := network.MustParsePort(strconv.Itoa(inside) + "/tcp")
		bindings[port] = []network.PortBinding{{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: strconv.Itoa(outside)}}
		opts = append(opts, testcontainers.WithExposedPorts(port.String()))
	}
	for name, content := range with.files {
		opts = append(opts, testcontainers.WithFiles(testcontainers.ContainerFile{
			Reader: bytes.NewReader(content), ContainerFilePath: containerDir + "/" + name, FileMode: 0o644,
		}))
	}
	if n != nil {
		opts = append(opts, testcontainers.WithEndpointSettingsModifier(func(all map[string]*network.EndpointSettings) {
			all[n.name] = &network.EndpointSettings{Aliases: []string{me.name}}
			if n.fixed {
				all[n.name].IPAMConfig = &network.EndpointIPAMConfig{IPv4Address: netip.MustParseAddr(me.host)}
			}
		}))
	}
	opts = append(opts, testcontainers.WithHostConfigModifier(func(h *dockercontainer.HostConfig) {
		h.PortBindings = bindings
		if n != nil {
			h.NetworkMode = dockercontainer.NetworkMode(n.name)
		}
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

// engine is the Docker engine of this machine, asked for once. The first use
// removes what crashed runs have left behind.
var engine = sync.OnceValues(func() (*client.Client, error) {
	docker, err := findEngine()
	if err == nil {
		usedEngine.Store(true)
		removeLeftovers(docker)
	}
	return docker, err
})

// usedEngine is true if there is a client to close.
var usedEngine atomic.Bool

// engineLimit bounds the questions to an engine, which answers in milliseconds if
// there is one.
const engineLimit = 10 * time.Second

// findEngine tries DOCKER_HOST or the usual socket, and then those of engines
// that run without root. What it finds it tells testcontainers, so that both talk
// to the same one.
func findEngine() (*client.Client, error) {
	docker, first := dialEngine()
	if first == nil || os.Getenv("DOCKER_HOST") != "" {
		return docker, first
	}
	home, _ := os.UserHomeDir()
	for _, socket := range []string{
		filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "docker.sock"),
		filepath.Join(home, ".docker", "run", "docker.sock"),
		filepath.Join(home, ".docker", "desktop", "docker.sock"),
	} {
		if _, err := os.Stat(socket); err != nil {
			continue
		}
		host := "unix://" + socket
		if docker, err := dialEngine(client.WithHost(host)); err == nil {
			return docker, os.Setenv("DOCKER_HOST", host)
		}
	}
	return nil, first
}

func dialEngine(opts ...client.Opt) (*client.Client, error) {
	docker, err := client.New(append([]client.Opt{client.FromEnv}, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("no Docker engine: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), engineLimit)
	defer cancel()
	if _, err := docker.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		_ = docker.Close()
		return nil, fmt.Errorf("no Docker engine answers: %w", err)
	}
	return docker, nil
}
