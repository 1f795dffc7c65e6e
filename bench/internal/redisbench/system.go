// Package redisbench holds what the comparison needs for Redis: a server, the contestants, and the budgets.
package redisbench

import (
	"github.com/fencelock/fencelock/bench/internal/scenario"
	"github.com/fencelock/fencelock/bench/internal/system"
	"github.com/fencelock/fencelock/bench/internal/wire"
)

var sizes = scenario.Sizes{
	Callers: []int{8, 64, 1024},
	Queue:   []int{2, 16, 64, 256},
	Turns:   []int{2, 16, 64},
}

// System is Redis.
func System() system.System {
	return system.System{
		Name:         "redis",
		AddrVariable: AddrVariable,
		Libraries: []string{
			"github.com/redis/go-redis/v9", "github.com/redis/rueidis", "github.com/bsm/redislock", "github.com/go-redsync/redsync/v4",
		},
		Start:       Start,
		Contestants: Contestants,
		Sizes:       sizes,
		Leases:      100_000,
		Protocol:    wire.RESP,
		Budgets:     Budgets,
		Plots:       system.Plots("redis", "Redis", sizes, system.Cost{Metric: scenario.Commands, File: "commands", Title: "client commands"}),
	}
}
