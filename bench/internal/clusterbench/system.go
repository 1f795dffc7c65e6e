// Package clusterbench holds what the comparison needs for Redis Cluster: three masters, each with a replica, the
// contestants, and the budgets.
package clusterbench

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"

	redisbackend "github.com/fencelock/fencelock/backend/redis"
	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/ours"
	"github.com/fencelock/fencelock/bench/internal/redisbench"
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/scenario"
	"github.com/fencelock/fencelock/bench/internal/system"
	"github.com/fencelock/fencelock/bench/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

// System is Redis Cluster.
func System() system.System {
	return system.System{
		Name:         "cluster",
		AddrVariable: AddrVariable,
		Libraries:    redisbench.ReplicatedLibraries,
		Start:        Start,
		Contestants:  Contestants,
		Sizes:        redisbench.ReplicatedSizes,
		Leases:       10_000, // of which rueidislock makes three keys each
		LeasesFirst:  true,   // go-redis keeps the servers that a ClusterClient has known for a minute
		Protocol:     wire.RESP,
		Meter:        meter,
		Takeovers:    takeovers,
		Budgets:      Budgets,
		Plots: system.Plots("cluster", "Redis Cluster", redisbench.ReplicatedSizes,
			system.Cost{Metric: scenario.Commands, File: "commands", Title: "client commands"}),
	}
}

// Budgets are what fencelock must reach. leases is the number in the scenario of that name.
func Budgets(leases int) []report.Budget {
	return redisbench.ReplicatedBudgets(leases, redisbench.Floor{
		Why:   "as on one Redis: a lock is a script on a hash, with a token that is ordered; raw's is one SET",
		Bound: 1.75,
	})
}

// Contestants lists ours first. Every client they open has its own connections to each of the servers.
func Contestants(addr string) []contest.Contestant {
	at := connections(addr)
	return []contest.Contestant{
		fenceLock(addr), redisbench.Raw(at), redisbench.RawPipelined(at), redisbench.RueidisLock(at), redisbench.RedisLock(at),
	}
}

func fenceLock(addr string) contest.Contestant {
	c := redisbench.FenceLock("redis+cluster://"+addr+"?namespace="+ours.Namespace,
		func(ctx context.Context, o contest.Options) (driver.Backend, io.Closer, error) {
			conns := connect(addr, o)
			b, err := redisbackend.New(ctx, conns, redisbench.BackendOptions())
			return b, conns, err
		})
	c.Keys = func(key string) []string { return []string{ours.Namespace + ":{" + key + "}:l"} }
	return c
}

// connections are set up as the libraries' documentation says for a Cluster.
func connections(addr string) redisbench.Connections {
	return redisbench.Connections{
		GoRedis: func(o contest.Options) redis.UniversalClient { return connect(addr, o) },
		Rueidis: rueidis.ClientOption{InitAddress: strings.Split(addr, ",")},
		// Its README asks for 1 only where there is one Redis: this is its default.
		Majority: 2,
	}
}

func connect(addr string, o contest.Options) *redis.ClusterClient {
	return redis.NewClusterClient(&redis.ClusterOptions{Addrs: strings.Split(addr, ","), Dialer: o.Dial})
}

// meter adds up what all masters computed.
func meter(addr string) *scenario.Meter {
	c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: strings.Split(addr, ","), PoolSize: 1, ConnMaxIdleTime: -1})
	return &scenario.Meter{CPU: redisbench.ServerCPU, Read: func(ctx context.Context) (scenario.Load, error) {
		var mu sync.Mutex
		var all scenario.Load
		err := c.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
			info, err := master.Info(ctx, "cpu").Result()
			if err != nil {
				return fmt.Errorf("asking a master what it computed: %w", err)
			}
			spent, err := redisbench.CPU(info)
			mu.Lock()
			defer mu.Unlock()
			all.CPU += spent
			return err
		})
		return all, err
	}}
}
