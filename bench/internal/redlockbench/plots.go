package redlockbench

import (
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/scenario"
	"github.com/fencelock/fencelock/bench/internal/system"
)

// plots are those of every system, and one of how long the clients wait that compete for one key.
func plots(name, title string) []report.Plot {
	all := system.Plots(name, title, sizes, system.Cost{Metric: scenario.Commands, File: "commands", Title: "client commands"})
	return append(all, report.Plot{
		File: name + "-contend.svg", Title: title + ": longest wait but for one in a hundred", X: "contending clients",
		Scenario: scenario.Contend, Metric: scenario.ContendWait, Sizes: sizes.Contend, Case: scenario.ContendCase,
	})
}
