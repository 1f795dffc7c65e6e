package sentinelbench

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/bench/internal/redisbench"
	"github.com/fencelock/fencelock/bench/internal/scenario"
	"github.com/fencelock/fencelock/bench/internal/server"
)

// takeovers lose the master of the Sentinels.
func takeovers(s *server.Server) []scenario.Takeover {
	addrs, name := split(s.Addr)
	return redisbench.Servers{
		All: s,
		Bare: redisbench.Bare(addrs, func(ctx context.Context, guide *redis.Client, _ string) (string, error) {
			return toldBy(ctx, guide, name)
		}),
		Master: func(ctx context.Context, _ int) (string, func(string) bool, error) {
			addr, err := masterOf(ctx, addrs[0], name)
			return addr, func(string) bool { return true }, err
		},
		Well: func(ctx context.Context) error { return well(ctx, addrs, name) },
	}.Takeovers()
}

// toldBy asks a Sentinel for the address of the master.
func toldBy(ctx context.Context, c *redis.Client, name string) (string, error) {
	told, err := c.Do(ctx, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", name).StringSlice()
	if err != nil {
		return "", err
	}
	if len(told) != 2 {
		return "", fmt.Errorf("the Sentinel says %q of the master %q", told, name)
	}
	return net.JoinHostPort(told[0], told[1]), nil
}

// masterOf asks the Sentinel at addr.
func masterOf(ctx context.Context, addr, name string) (string, error) {
	c := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
	defer func() { _ = c.Close() }()
	return toldBy(ctx, c, name)
}

// ready is content with a Sentinel that knows all others, and all replicas, and finds nobody down.
func ready(ctx context.Context, addr string) (string, error) {
	if _, err := looks(ctx, addr, masterName); err != nil {
		return "", err
	}
	return redisbench.Probe(ctx, addr)
}

// well is nil when all Sentinels name one master, which has all its replicas, and find nobody down.
func well(ctx context.Context, addrs []string, name string) error {
	masters := map[string]bool{}
	for _, addr := range addrs {
		master, err := looks(ctx, addr, name)
		if err != nil {
			return err
		}
		masters[master] = true
	}
	for master := range masters {
		if len(masters) > 1 {
			return fmt.Errorf("the Sentinels name %v", masters)
		}
		c := redis.NewClient(&redis.Options{Addr: master, MaxRetries: -1})
		defer func() { _ = c.Close() }()
		info, err := c.Info(ctx, "replication").Result()
		if err != nil {
			return err
		}
		if online := strings.Count(info, "state=online"); online != servers-1 {
			return fmt.Errorf("%s has %d replicas", master, online)
		}
	}
	return nil
}

// looks asks the Sentinel at addr what it sees, and returns the address of the master if that is all.
func looks(ctx context.Context, addr, name string) (master string, err error) {
	c := redis.NewSentinelClient(&redis.Options{Addr: addr, MaxRetries: -1})
	defer func() { _ = c.Close() }()
	m, err := c.Master(ctx, name).Result()
	if err != nil {
		return "", err
	}
	if others, _ := strconv.Atoi(m["num-other-sentinels"]); others != sentinels-1 || m["flags"] != "master" {
		return "", fmt.Errorf("the Sentinel at %s knows %d others, and calls the master %s", addr, others, m["flags"])
	}
	replicas, err := c.Replicas(ctx, name).Result()
	if err != nil {
		return "", err
	}
	up := 0
	for _, r := range replicas {
		if r["flags"] == "slave" {
			up++
		}
	}
	if up != servers-1 {
		return "", fmt.Errorf("the Sentinel at %s finds %d replicas up", addr, up)
	}
	return net.JoinHostPort(m["ip"], m["port"]), nil
}
