package servers

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moby/moby/client"
)

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
