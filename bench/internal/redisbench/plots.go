package redisbench

import (
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/scenario"
)

func plots() []report.Plot {
	return []report.Plot{
		{
			File: "redis-handoff.svg", Title: "Redis: time per hand-off in a queue", X: "waiting clients",
			Scenario: scenario.Queue, Metric: scenario.HandOff, Sizes: sizes.Queue, Case: scenario.QueueCase,
		},
		{
			File: "redis-commands.svg", Title: "Redis: client commands per hand-off in a queue", X: "waiting clients",
			Scenario: scenario.Queue, Metric: scenario.Commands, Sizes: sizes.Queue, Case: scenario.QueueCase,
		},
		{
			File: "redis-callers.svg", Title: "Redis: locks taken and freed per second, own keys, one client", X: "concurrent callers",
			Scenario: scenario.Callers, Metric: scenario.CallersRate, Sizes: sizes.Callers, Case: scenario.CallersCase,
		},
	}
}
