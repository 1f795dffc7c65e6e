package zkbench

import (
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/scenario"
)

func plots() []report.Plot {
	return []report.Plot{
		{
			File: "zookeeper-handoff.svg", Title: "ZooKeeper: time per hand-off in a queue", X: "waiting clients",
			Scenario: scenario.Queue, Metric: scenario.HandOff, Sizes: sizes.Queue, Case: scenario.QueueCase,
		},
		{
			File: "zookeeper-bytes.svg", Title: "ZooKeeper: bytes on the wire per hand-off in a queue", X: "waiting clients",
			Scenario: scenario.Queue, Metric: scenario.BytesPerHandOff, Sizes: sizes.Queue, Case: scenario.QueueCase,
		},
		{
			File: "zookeeper-callers.svg", Title: "ZooKeeper: locks taken and freed per second, own keys, one client", X: "concurrent callers",
			Scenario: scenario.Callers, Metric: scenario.CallersRate, Sizes: sizes.Callers, Case: scenario.CallersCase,
		},
	}
}
