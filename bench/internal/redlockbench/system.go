// Package redlockbench holds what the comparison needs for Redlock: masters that know nothing of each other, the
// contestants, and the budgets.
package redlockbench

import (
	"fmt"
	"strings"

	"github.com/go-redsync/redsync/v4"

	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/ours"
	"github.com/fencelock/fencelock/bench/internal/redisbench"
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/scenario"
	"github.com/fencelock/fencelock/bench/internal/system"
	"github.com/fencelock/fencelock/bench/internal/wire"
)

var sizes = scenario.Sizes{
	Callers: []int{8, 64, 1024},
	Queue:   []int{2, 16, 64},
	Contend: []int{2, 16, 64},
}

// usual is the number of masters that a Redlock mostly has.
const usual = 3

// System is Redlock on three masters, or on more.
func System(masters int) system.System {
	name, title := "redlock", fmt.Sprintf("Redlock, %d masters", masters)
	if masters != usual {
		name = fmt.Sprintf("redlock%d", masters)
	}
	return system.System{
		Name:         name,
		AddrVariable: AddrVariable,
		Libraries:    []string{"github.com/redis/go-redis/v9", "github.com/go-redsync/redsync/v4"},
		Start:        starter(masters),
		Contestants:  Contestants,
		Sizes:        sizes,
		Leases:       20_000,
		Protocol:     wire.RESP,
		Blackhole:    true,
		Budgets:      Budgets,
		Plots:        plots(name, title),
	}
}

// Budgets are what fencelock must reach on Redlock. leases is the number in the scenario of that name.
func Budgets(leases int) []report.Budget {
	alone := report.Budget{
		Scenario: scenario.Alone, Case: scenario.AloneCase, Metric: scenario.AlonePair,
		Against: twoRoundsName, Bound: 1.15, BoundDetail: "× " + twoRoundsName,
	}
	plain := alone
	plain.Of, plain.Against, plain.Bound, plain.BoundDetail = noTokenName, oneRoundName, 1.1, "× "+oneRoundName
	all := []report.Budget{alone, plain, {
		Scenario: scenario.Callers, Case: scenario.CallersCase(64), Metric: scenario.CallersRate,
		Against: redSyncName, AtLeast: true, Bound: 2, BoundDetail: "× " + redSyncName,
	}}
	for _, n := range []int{16, 64} {
		all = append(all, contended(n)...)
		all = append(all, report.Budget{
			Scenario: scenario.Queue, Case: scenario.QueueCase(n), Metric: scenario.HandOff,
			Against: redSyncName, Bound: 0.2, BoundDetail: "× " + redSyncName,
		})
	}
	few, many := scenario.ContendCase(2), scenario.ContendCase(64)
	all = append(all, report.Budget{
		Scenario: scenario.Contend, Case: many, Metric: scenario.ContendCommands,
		Base:  &report.Base{Scenario: scenario.Contend, Case: few, Metric: scenario.ContendCommands},
		Bound: 3, BoundDetail: "× ours with " + few,
	})
	for _, n := range []int{1, 64} {
		silent := report.Budget{Scenario: scenario.Blackhole, Case: scenario.BlackholeCase(n), Metric: scenario.BlackholePair}
		silent.Base = &report.Base{Scenario: scenario.Blackhole, Case: silent.Case, Metric: scenario.BlackholeHealthy}
		silent.Bound, silent.BoundDetail = 1.2, "× ours while all answer"
		all = append(all, silent)
	}
	return append(all, ours.ProcessBudgets(leases)...)
}

// contended bounds what n clients do that want one key again and again. Those of redsync mostly take it back from
// themselves, which is quick, and lets the others wait.
func contended(n int) []report.Budget {
	at := report.Budget{Scenario: scenario.Contend, Case: scenario.ContendCase(n), Against: redSyncName}
	rate, wait, commands := at, at, at
	rate.Metric, rate.AtLeast, rate.Bound, rate.BoundDetail = scenario.ContendRate, true, 1, "× "+redSyncName
	wait.Metric, wait.Bound, wait.BoundDetail = scenario.ContendWait, 0.1, "× "+redSyncName
	commands.Metric, commands.Bound, commands.BoundDetail = scenario.ContendCommands, 0.5, "× "+redSyncName
	return []report.Budget{rate, wait, commands}
}

// Names used by the budgets.
const (
	noTokenName   = "fencelock, no token"
	twoRoundsName = "raw, two rounds"
	oneRoundName  = "raw, one round"
	redSyncName   = "redsync"
)

// Contestants lists ours first. Every client they open has its own connections to each of the masters at addr.
func Contestants(addr string) []contest.Contestant {
	masters := strings.Split(addr, ",")
	return []contest.Contestant{
		fenceLock(masters),
		noToken(masters),
		twoRounds(masters),
		oneRound(masters),
		redisbench.RedSync(redSyncName, masters),
		redisbench.RedSync(redSyncName+", fail fast", masters, redsync.WithFailFast(true)),
	}
}

// plots are those of every system, and one of how long the clients wait that compete for one key.
func plots(name, title string) []report.Plot {
	all := system.Plots(name, title, sizes, system.Cost{Metric: scenario.Commands, File: "commands", Title: "client commands"})
	return append(all, report.Plot{
		File: name + "-contend.svg", Title: title + ": longest wait but for one in a hundred", X: "contending clients",
		Scenario: scenario.Contend, Metric: scenario.ContendWait, Sizes: sizes.Contend, Case: scenario.ContendCase,
	})
}
