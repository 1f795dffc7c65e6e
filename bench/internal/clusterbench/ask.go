package clusterbench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/bench/internal/redisbench"
	"github.com/fencelock/fencelock/bench/internal/scenario"
	"github.com/fencelock/fencelock/bench/internal/server"
)

// takeovers lose one master after the other, with its slots.
func takeovers(s *server.Server) []scenario.Takeover {
	addrs := strings.Split(s.Addr, ",")
	return redisbench.Servers{
		All: s,
		Bare: redisbench.Bare(addrs, func(ctx context.Context, guide *redis.Client, key string) (string, error) {
			owned, err := ask(ctx, guide)
			if err != nil {
				return "", err
			}
			return owned.at(slot(key))
		}),
		Master: func(ctx context.Context, round int) (string, func(string) bool, error) {
			owned, err := askAt(ctx, addrs[0])
			if err != nil {
				return "", nil, err
			}
			all := owned.masters()
			victim := all[round%len(all)]
			return victim, func(key string) bool {
				addr, err := owned.at(slot(key))
				return err == nil && addr == victim
			}, nil
		},
		Well: func(ctx context.Context) error { return well(ctx, addrs) },
	}.Takeovers()
}

// slotMap says which slots which masters have.
type slotMap []redis.ClusterSlot

func ask(ctx context.Context, c *redis.Client) (slotMap, error) {
	return c.ClusterSlots(ctx).Result() //nolint:staticcheck // it is deprecated for CLUSTER SHARDS, which not all of these servers tell alike
}

func askAt(ctx context.Context, addr string) (slotMap, error) {
	c := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
	defer func() { _ = c.Close() }()
	return ask(ctx, c)
}

// at is the address of the master of a slot.
func (m slotMap) at(slot int) (string, error) {
	for _, r := range m {
		if r.Start <= slot && slot <= r.End && len(r.Nodes) > 0 {
			return r.Nodes[0].Addr, nil
		}
	}
	return "", fmt.Errorf("nobody has slot %d", slot)
}

// masters are the addresses of all.
func (m slotMap) masters() []string {
	var all []string
	for _, r := range m {
		if len(r.Nodes) > 0 && !slices.Contains(all, r.Nodes[0].Addr) {
			all = append(all, r.Nodes[0].Addr)
		}
	}
	slices.Sort(all)
	return all
}

// well is nil when all servers find the Cluster so, and each replica has what its master has.
func well(ctx context.Context, addrs []string) error {
	for _, addr := range addrs {
		if err := finds(ctx, addr, len(addrs)); err != nil {
			return fmt.Errorf("%s: %w", addr, err)
		}
	}
	return nil
}

// finds asks one server of so many.
func finds(ctx context.Context, addr string, of int) error {
	c := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
	defer func() { _ = c.Close() }()
	text, err := c.ClusterInfo(ctx).Result()
	if err != nil {
		return err
	}
	info := redisbench.Fields(text)
	if info["cluster_state"] != "ok" || info["cluster_known_nodes"] != fmt.Sprint(of) {
		return fmt.Errorf("the Cluster is %s, of %s servers", info["cluster_state"], info["cluster_known_nodes"])
	}
	lines, err := c.ClusterNodes(ctx).Result()
	if err != nil {
		return err
	}
	for line := range strings.Lines(lines) {
		if fields := strings.Fields(line); len(fields) > 2 && (strings.Contains(fields[2], "fail") || strings.Contains(fields[2], "handshake")) {
			return fmt.Errorf("%s is %s", fields[1], fields[2])
		}
	}
	text, err = c.Info(ctx, "replication").Result()
	if err != nil {
		return err
	}
	switch role := redisbench.Fields(text); {
	case role["role"] == "master" && !strings.Contains(text, "state=online"):
		return errors.New("it has no replica")
	case role["role"] != "master" && role["master_link_status"] != "up":
		return errors.New("it has no link to its master")
	default:
		return nil
	}
}
