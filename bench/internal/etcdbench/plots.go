package etcdbench

import (
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/scenario"
)

func plots() []report.Plot {
	return []report.Plot{
		{
			File: "etcd-handoff.svg", Title: "etcd: time per hand-off in a queue", X: "waiting clients",
			Scenario: scenario.Queue, Metric: scenario.HandOff, Sizes: sizes.Queue, Case: scenario.QueueCase,
		},
		{
			File: "etcd-commands.svg", Title: "etcd: client messages per hand-off in a queue", X: "waiting clients",
			Scenario: scenario.Queue, Metric: scenario.Commands, Sizes: sizes.Queue, Case: scenario.QueueCase,
		},
		{
			File: "etcd-callers.svg", Title: "etcd: locks taken and freed per second, own keys, one client", X: "concurrent callers",
			Scenario: scenario.Callers, Metric: scenario.CallersRate, Sizes: sizes.Callers, Case: scenario.CallersCase,
		},
	}
}
