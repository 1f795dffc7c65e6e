// Package system says what the comparison needs to know of a lock server.
package system

import (
	"context"

	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/scenario"
	"github.com/fencelock/fencelock/bench/internal/server"
	"github.com/fencelock/fencelock/bench/internal/wire"
)

// System is one kind of lock server with all who compete on it.
type System struct {
	Name         string   // as -backend takes it
	AddrVariable string   // environment variable with the address of a running server
	Libraries    []string // modules whose versions a report names

	// Start uses the server at addr, or starts one on a free loopback port when addr is empty.
	Start func(ctx context.Context, addr string) (*server.Server, error)

	// Contestants lists ours first. Every client that they open has its own connections to the server at addr.
	Contestants func(addr string) []contest.Contestant

	Sizes  scenario.Sizes
	Leases int // as many as one client holds, unless -leases says otherwise
	// LeasesFirst has that scenario before the others: for libraries that keep memory of clients for some time after they are
	// closed, which would be freed while the memory of leases is measured.
	LeasesFirst bool
	Protocol    wire.Protocol
	Meter       func(addr string) *scenario.Meter // nil: the server's own counters say nothing that is needed

	// URL opens fencelock on the server at addr. nil: there is no comparison with the build of another
	// commit.
	URL func(addr, namespace string) string

	// Members of the cluster, and Leader, the address of the one that leads: of ours, or of the one elsewhere. nil: nobody is
	// made to fail.
	Members int
	Leader  func(ctx context.Context, addr string, elsewhere bool) (string, error)

	// Blackhole says that the servers of an address are independent of each other, so that one of them can be silenced.
	Blackhole bool

	// Takeovers are the ways to lose one of the servers that Start has started, whose place another of them takes. nil: there
	// are none.
	Takeovers func(s *server.Server) []scenario.Takeover

	// Budgets are what fencelock must reach; leases is the number in the scenario of that name.
	Budgets func(leases int) []report.Budget
	// Beside are what fencelock must reach beside the build of another commit, by the names of the two; nil:
	// nothing.
	Beside func(of, before string, leases int) []report.Budget
	// Plots show how cost grows with size.
	Plots []report.Plot
}

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
