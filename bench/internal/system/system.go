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

	Sizes    scenario.Sizes
	Leases   int // as many as one client holds, unless -leases says otherwise
	Protocol wire.Protocol
	Meter    func(addr string) *scenario.Meter // nil: the server's own counters say nothing that is needed

	// Members of the cluster, and Leader, the address of the one that leads: of ours, or of the one elsewhere. nil: nobody is
	// made to fail.
	Members int
	Leader  func(ctx context.Context, addr string, elsewhere bool) (string, error)

	// Blackhole says that the servers of an address are independent of each other, so that one of them can be silenced.
	Blackhole bool

	// Budgets are what fencelock must reach; leases is the number in the scenario of that name.
	Budgets func(leases int) []report.Budget
	// Plots show how cost grows with size.
	Plots []report.Plot
}
