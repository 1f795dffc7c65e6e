// Package ours lets fencelock compete, on whatever server.
package ours

import (
	"context"
	"log/slog"
	"strings"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/scenario"
	"github.com/fencelock/fencelock/bench/internal/wire"
)

// Name is that of fencelock in reports and budgets.
const Name = "fencelock"

// Namespace keeps its locks apart from those of the others.
const Namespace = "bench"

// Options are what fencelock gets in every case.
func Options(o contest.Options) *fencelock.Options {
	return &fencelock.Options{TTL: o.TTL, Logger: slog.New(slog.DiscardHandler)}
}

// Client is fencelock's as a contest.Client.
type Client struct {
	*fencelock.Client
	// Connections that the client does not close by itself; nil: there are none.
	Connections interface{ Close() error }
}

// Lock waits for the lock.
func (c *Client) Lock(ctx context.Context, key string) (contest.Held, error) {
	lease, err := c.Client.Lock(ctx, key)
	if err != nil {
		return nil, err
	}
	return held{lease}, nil
}

// Waiters asks the server.
func (c *Client) Waiters(ctx context.Context, key string) (int, error) {
	s, err := c.Inspect(ctx, key)
	return s.Waiters, err
}

// Close ends the client, and then its connections.
func (c *Client) Close() error {
	err := c.Client.Close()
	if c.Connections != nil {
		_ = c.Connections.Close() // says nothing that matters after the client
	}
	return err
}

type held struct{ *fencelock.Lease }

func (h held) Release(ctx context.Context) error { return h.Unlock(ctx) }

// Bounds of what one process may cost, whatever the server.
const (
	usualBytes    = 1024 // of memory for a held lease
	fewGoroutines = 32   // for all leases of a client together
)

// ProcessBudgets bound what one process may cost: its goroutines are one waiter to the server, and many leases are cheap.
func ProcessBudgets(leases int) []report.Budget { return ProcessBudgetsOf(leases, usualBytes) }

// ProcessBudgetsOf are the same with a bound of its own for the memory of a lease.
func ProcessBudgetsOf(leases int, leaseBytes float64) []report.Budget {
	crowd := report.Budget{Scenario: scenario.Goroutines, Case: scenario.GoroutinesCase}
	one, handOff := crowd, crowd
	one.Metric, one.Bound, one.BoundDetail = scenario.ServerWaiters, 1, "waiter"
	handOff.Metric = scenario.HandOff
	handOff.Base = &report.Base{Scenario: scenario.Goroutines, Case: scenario.OneWaiterCase, Metric: scenario.HandOff}
	handOff.Bound, handOff.BoundDetail = 1, "× ours with "+scenario.OneWaiterCase

	held := report.Budget{Scenario: scenario.Leases, Case: scenario.LeasesCase(leases)}
	memory, goroutines := held, held
	memory.Metric, memory.Bound, memory.BoundDetail = scenario.LeaseMemory, leaseBytes, "B"
	goroutines.Metric, goroutines.Bound, goroutines.BoundDetail = scenario.LeaseGoroutines, fewGoroutines, "in all"
	return []report.Budget{one, handOff, memory, goroutines}
}

// Contestant is fencelock on the server at addr, opened by the URL that url makes of an address.
func Contestant(addr, waits string, url func(addr string) string) contest.Contestant {
	return contest.Contestant{
		Name:   Name,
		Token:  true,
		Renews: true,
		Waits:  waits,
		Open: func(ctx context.Context, o contest.Options) (contest.Client, error) {
			return open(ctx, addr, url, o)
		},
	}
}

// open opens the URL of the server at addr. A URL carries no dialer, so a client that is counted goes through a relay, to the
// first of several servers.
func open(ctx context.Context, addr string, url func(addr string) string, o contest.Options) (contest.Client, error) {
	if o.Dial == nil {
		c, err := fencelock.Open(ctx, url(addr), Options(o))
		if err != nil {
			return nil, err
		}
		return &Client{Client: c}, nil
	}
	first, _, _ := strings.Cut(addr, ",")
	relay, err := wire.NewRelay(ctx, first, o.Dial)
	if err != nil {
		return nil, err
	}
	c, err := fencelock.Open(ctx, url(relay.Addr), Options(o))
	if err != nil {
		_ = relay.Close()
		return nil, err
	}
	return &Client{Client: c, Connections: relay}, nil
}
