package system

import (
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/scenario"
)

// Cost is what a hand-off takes of a system, besides time: a column of the scenario of queues.
type Cost struct {
	Metric string
	File   string // the end of the file's name
	Title  string
}

// Plots show how the time and the cost of a hand-off grow with the queue, and the rate with the callers. Files are named
// after prefix, and titles after the system as its own users write it.
func Plots(prefix, name string, sizes scenario.Sizes, cost Cost) []report.Plot {
	handOff := report.Plot{
		File: prefix + "-handoff.svg", Title: name + ": time per hand-off in a queue", X: "waiting clients",
		Scenario: scenario.Queue, Metric: scenario.HandOff, Sizes: sizes.Queue, Case: scenario.QueueCase,
	}
	costs := handOff
	costs.File, costs.Title = prefix+"-"+cost.File+".svg", name+": "+cost.Title+" per hand-off in a queue"
	costs.Metric = cost.Metric
	callers := report.Plot{
		File: prefix + "-callers.svg", Title: name + ": locks taken and freed per second, own keys, one client", X: "concurrent callers",
		Scenario: scenario.Callers, Metric: scenario.CallersRate, Sizes: sizes.Callers, Case: scenario.CallersCase,
	}
	return []report.Plot{handOff, costs, callers}
}
