// Package sentinelbench holds what the comparison needs for Redis behind Sentinels: a master with two replicas, three
// Sentinels, the contestants, and the budgets.
package sentinelbench

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"

	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/redisbench"
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/scenario"
	"github.com/fencelock/fencelock/bench/internal/system"
	"github.com/fencelock/fencelock/bench/internal/wire"
)

// System is Redis behind Sentinels.
func System() system.System {
	return system.System{
		Name:         "sentinel",
		AddrVariable: AddrVariable,
		Libraries:    redisbench.ReplicatedLibraries,
		Start:        Start,
		Contestants:  Contestants,
		Sizes:        redisbench.ReplicatedSizes,
		Leases:       20_000,
		Protocol:     wire.RESP,
		Meter:        meter,
		Takeovers:    takeovers,
		Budgets:      Budgets,
		Plots: system.Plots("sentinel", "Redis Sentinel", redisbench.ReplicatedSizes,
			system.Cost{Metric: scenario.Commands, File: "commands", Title: "client commands"}),
	}
}

// Budgets are what fencelock must reach. leases is the number in the scenario of that name.
func Budgets(leases int) []report.Budget {
	return redisbench.ReplicatedBudgets(leases, redisbench.Floor{
		Why:   "as on one Redis: a lock is three commands in a script, with a token that is ordered; raw's is one SET",
		Bound: 1.75,
	})
}

// Contestants lists ours first. Every client they open has its own connections to the master that the Sentinels at addr
// name.
func Contestants(addr string) []contest.Contestant {
	at := connections(addr)
	return []contest.Contestant{
		fenceLock(addr), redisbench.Raw(at), redisbench.RawPipelined(at), redisbench.RueidisLock(at), redisbench.RedisLock(at),
	}
}

// connections are set up as the libraries' documentation says for Sentinel.
func connections(addr string) redisbench.Connections {
	sentinels, name := split(addr)
	return redisbench.Connections{
		GoRedis: func(o contest.Options) redis.UniversalClient {
			return redis.NewFailoverClient(&redis.FailoverOptions{SentinelAddrs: sentinels, MasterName: name, Dialer: o.Dial})
		},
		Rueidis: rueidis.ClientOption{
			InitAddress: sentinels,
			Sentinel:    rueidis.SentinelOption{MasterSet: name, TopologyRefreshInterval: rueidisRefresh},
		},
		Majority: 1, // of one key: there is one master at a time
	}
}

// meter asks the master of the moment.
func meter(addr string) *scenario.Meter {
	sentinels, name := split(addr)
	c := redis.NewFailoverClient(&redis.FailoverOptions{SentinelAddrs: sentinels, MasterName: name, PoolSize: 1, ConnMaxIdleTime: -1})
	return &scenario.Meter{CPU: redisbench.ServerCPU, Read: func(ctx context.Context) (scenario.Load, error) {
		info, err := c.Info(ctx, "cpu").Result()
		if err != nil {
			return scenario.Load{}, fmt.Errorf("asking the master what it computed: %w", err)
		}
		spent, err := redisbench.CPU(info)
		return scenario.Load{CPU: spent}, err
	}}
}
