// Command bench compares fencelock with bare commands and with other Go lock libraries, in one run on one real server,
// and holds the result against the project's budgets. See README.md for what the columns mean.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9/logging"

	"github.com/fencelock/fencelock/bench/internal/before"
	"github.com/fencelock/fencelock/bench/internal/clusterbench"
	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/etcdbench"
	"github.com/fencelock/fencelock/bench/internal/raftbench"
	"github.com/fencelock/fencelock/bench/internal/redisbench"
	"github.com/fencelock/fencelock/bench/internal/redlockbench"
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/scenario"
	"github.com/fencelock/fencelock/bench/internal/sentinelbench"
	"github.com/fencelock/fencelock/bench/internal/server"
	"github.com/fencelock/fencelock/bench/internal/system"
	"github.com/fencelock/fencelock/bench/internal/zkbench"
)

type config struct {
	system         system.System
	addr, before   string
	json, svg      string
	only           []string
	rounds, leases int
	ttl, limit     time.Duration
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == raftbench.Member {
		if err := raftbench.RunMember(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "bench: member:", err)
			os.Exit(1)
		}
		return
	}
	c, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = run(ctx, c)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parse(args []string) (config, error) {
	var c config
	var backend, only string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&backend, "backend", "redis", "`system` to measure: "+strings.Join(systemNames(), ", "))
	f.StringVar(&c.addr, "addr", "", "`host:port` of a running server (default: start one)")
	f.StringVar(&c.before, "before", "", "`commit` whose build is measured beside this one, where nobody waits for another")
	f.StringVar(&only, "only", "", "comma-separated `scenarios`: "+strings.Join(names(), ", "))
	f.IntVar(&c.rounds, "rounds", 0, "rounds of each case (default: what suits the scenario)")
	f.IntVar(&c.leases, "leases", 0, "leases held by one client in the scenario of that name (default: what suits the system)")
	f.DurationVar(&c.ttl, "ttl", 15*time.Second, "TTL of every lock")
	f.DurationVar(&c.limit, "limit", 12*time.Second, "time after which a contestant gets no further round of a case")
	f.StringVar(&c.json, "json", "", "`file` for the figures of every round")
	f.StringVar(&c.svg, "svg", "", "`directory` for plots")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	i := slices.Index(systemNames(), backend)
	if i < 0 {
		return c, fmt.Errorf("-backend %s: there is no such system; there are %s", backend, strings.Join(systemNames(), ", "))
	}
	c.system = systems()[i]
	c.addr = cmp.Or(c.addr, os.Getenv(c.system.AddrVariable))
	if c.before != "" && c.system.URL == nil {
		return c, fmt.Errorf("-before: %s has no comparison with another commit", backend)
	}
	if f.NArg() > 0 {
		return c, fmt.Errorf("%q is not a flag", f.Arg(0))
	}
	if c.leases < 0 || c.rounds < 0 {
		return c, errors.New("-leases and -rounds take positive numbers")
	}
	c.leases = cmp.Or(c.leases, c.system.Leases)
	if only != "" {
		c.only = strings.Split(only, ",")
	}
	for _, name := range c.only {
		if !slices.Contains(names(), name) {
			return c, fmt.Errorf("-only %s: there is no such scenario; there are %s", name, strings.Join(names(), ", "))
		}
	}
	return c, nil
}

func systems() []system.System {
	return []system.System{
		redisbench.System(), sentinelbench.System(), clusterbench.System(), redlockbench.System(3), redlockbench.System(5),
		etcdbench.System(), zkbench.System(), raftbench.System(1), raftbench.System(3),
	}
}

func systemNames() []string {
	var all []string
	for _, s := range systems() {
		all = append(all, s.Name)
	}
	return all
}

func names() []string {
	var all []string
	for _, s := range scenario.All() {
		all = append(all, s.Name)
	}
	return all
}

func run(ctx context.Context, c config) error {
	logging.Disable() // go-redis's: it tells of each of thousands of connections
	builds, err := build(ctx, c.before)
	if err != nil {
		return err
	}
	defer builds.Close()
	s, err := c.system.Start(ctx, c.addr)
	if err != nil {
		return err
	}
	defer s.Stop()

	started := time.Now()
	result := &report.Run{Environment: environment(s.Version, c.system.Libraries, started)}
	e := &scenario.Env{
		Contestants: c.system.Contestants(s.Addr),
		TTL:         c.ttl, Rounds: c.rounds, Limit: c.limit, Leases: c.leases,
		Sizes: c.system.Sizes, Protocol: c.system.Protocol,
		Progress: os.Stderr, Run: result,
	}
	budgets := c.system.Budgets(c.leases)
	if c.before != "" {
		e.Contestants = append(e.Contestants, builds.Contestants(s.Addr, c.system.URL)...)
		result.Environment.Before = builds.Commit
		if c.system.Beside != nil {
			budgets = append(budgets, c.system.Beside(before.NowName, before.Name, c.leases)...)
		}
	}
	e.Meter = meter(ctx, c.system, s.Addr)
	e.Failure, e.Blackhole, e.Takeovers = failure(c, s), blackhole(c, s), takeovers(c, s)
	for _, k := range append(slices.Clone(e.Contestants), bare(e.Takeovers)...) {
		result.Contestants = append(result.Contestants, report.Contestant{Name: k.Name, Token: k.Token, Renews: k.Renews, Waits: k.Waits})
	}
	for _, one := range order(c.system) {
		if len(c.only) == 0 || slices.Contains(c.only, one.Name) {
			one.Run(ctx, e)
		}
	}
	result.Environment.Seconds = time.Since(started).Seconds()
	ours := e.Contestants[0].Name
	result.Judge(ours, budgets)
	if err := errors.Join(result.Print(os.Stdout), write(c, result), ctx.Err()); err != nil {
		return err
	}
	if result.Failed(ours) {
		return fmt.Errorf("%s failed in a scenario: see the notes below the tables", ours)
	}
	return nil
}

// order is that in which the scenarios run.
func order(s system.System) []scenario.Scenario {
	all := scenario.All()
	if i := slices.IndexFunc(all, func(one scenario.Scenario) bool { return one.Name == scenario.Leases }); s.LeasesFirst {
		all = slices.Concat(all[i:i+1], all[:i], all[i+1:])
	}
	return all
}

// build makes the programs of -before, before anything is measured; none without it.
func build(ctx context.Context, commit string) (*before.Builds, error) {
	if commit == "" {
		return new(before.Builds), nil
	}
	fmt.Fprintln(os.Stderr, "building", commit, "and this tree")
	return before.Build(ctx, commit)
}

// meter is nil where the server's own counters are not asked for, or not to be had: those of a server that somebody else
// has set up may be closed to us.
func meter(ctx context.Context, s system.System, addr string) *scenario.Meter {
	if s.Meter == nil {
		return nil
	}
	m := s.Meter(addr)
	if _, err := m.Read(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "the server's own counters are left out:", err)
		return nil
	}
	return m
}

// failure is nil where a server is not to be killed: it is not ours, or does not go on where it was.
func failure(c config, s *server.Server) *scenario.Failure {
	if c.system.Leader == nil || c.addr != "" {
		return nil
	}
	return &scenario.Failure{Members: c.system.Members, Kill: func(ctx context.Context, k contest.Contestant) (func(context.Context) error, error) {
		leader, err := c.system.Leader(ctx, s.Addr, k.Elsewhere)
		if err != nil {
			return nil, err
		}
		return s.Kill(leader)
	}}
}

// blackhole is nil where there is no server to silence: they are not ours.
func blackhole(c config, s *server.Server) func(round int) (end func() error, err error) {
	if !c.system.Blackhole || c.addr != "" {
		return nil
	}
	addrs := strings.Split(s.Addr, ",")
	return func(round int) (func() error, error) { return s.Suspend(addrs[round%len(addrs)]) }
}

// takeovers are none where the servers are not ours.
func takeovers(c config, s *server.Server) []scenario.Takeover {
	if c.system.Takeovers == nil || c.addr != "" {
		return nil
	}
	return c.system.Takeovers(s)
}

// bare is the client that takes part only when a server is lost: the same in all ways to lose one.
func bare(all []scenario.Takeover) []contest.Contestant {
	if len(all) == 0 {
		return nil
	}
	return []contest.Contestant{all[0].Bare}
}

func write(c config, result *report.Run) error {
	var errs []error
	if c.json != "" {
		errs = append(errs, result.WriteJSON(c.json))
	}
	if c.svg != "" {
		errs = append(errs, result.WritePlots(c.svg, c.system.Plots))
	}
	return errors.Join(errs...)
}
