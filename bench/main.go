// Command bench compares fencelock with bare commands and with other Go lock libraries, in one run on one real server,
// and holds the result against the project's budgets. See README.md for what the columns mean.
package main

import (
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

	"github.com/fencelock/fencelock/bench/internal/redisbench"
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/scenario"
)

type config struct {
	backend, addr  string
	json, svg      string
	only           []string
	rounds, leases int
	ttl, limit     time.Duration
}

func main() {
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
	var only string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&c.backend, "backend", "redis", "`system` to measure: redis")
	f.StringVar(&c.addr, "addr", os.Getenv(redisbench.AddrVariable), "`host:port` of a running server (default: start one)")
	f.StringVar(&only, "only", "", "comma-separated `scenarios`: "+strings.Join(names(), ", "))
	f.IntVar(&c.rounds, "rounds", 0, "rounds of each case (default: what suits the scenario)")
	f.IntVar(&c.leases, "leases", 100_000, "leases held by one client in the scenario of that name")
	f.DurationVar(&c.ttl, "ttl", 15*time.Second, "TTL of every lock")
	f.DurationVar(&c.limit, "limit", 12*time.Second, "time after which a contestant gets no further round of a case")
	f.StringVar(&c.json, "json", "", "`file` for the figures of every round")
	f.StringVar(&c.svg, "svg", "", "`directory` for plots")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	if c.backend != "redis" {
		return c, fmt.Errorf("-backend %s: only redis can be measured", c.backend)
	}
	if f.NArg() > 0 {
		return c, fmt.Errorf("%q is not a flag", f.Arg(0))
	}
	if c.leases < 1 || c.rounds < 0 {
		return c, errors.New("-leases and -rounds take positive numbers")
	}
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

func names() []string {
	var all []string
	for _, s := range scenario.All() {
		all = append(all, s.Name)
	}
	return all
}

func run(ctx context.Context, c config) error {
	server, err := redisbench.Start(ctx, c.addr)
	if err != nil {
		return err
	}
	defer server.Stop()

	started := time.Now()
	result := &report.Run{Environment: environment(server.Version, started)}
	e := &scenario.Env{
		Contestants: redisbench.Contestants(server.Addr),
		TTL:         c.ttl, Rounds: c.rounds, Limit: c.limit, Leases: c.leases,
		Progress: os.Stderr, Run: result,
	}
	for _, k := range e.Contestants {
		result.Contestants = append(result.Contestants, report.Contestant{Name: k.Name, Token: k.Token, Renews: k.Renews, Waits: k.Waits})
	}
	for _, s := range scenario.All() {
		if len(c.only) == 0 || slices.Contains(c.only, s.Name) {
			s.Run(ctx, e)
		}
	}
	result.Environment.Seconds = time.Since(started).Seconds()
	ours := e.Contestants[0].Name
	result.Judge(ours, redisbench.Budgets(c.leases))
	if err := errors.Join(result.Print(os.Stdout), write(c, result), ctx.Err()); err != nil {
		return err
	}
	if result.Failed(ours) {
		return fmt.Errorf("%s failed in a scenario: see the notes below the tables", ours)
	}
	return nil
}

func write(c config, result *report.Run) error {
	var errs []error
	if c.json != "" {
		errs = append(errs, result.WriteJSON(c.json))
	}
	if c.svg != "" {
		errs = append(errs, result.WritePlots(c.svg, redisbench.Plots()))
	}
	return errors.Join(errs...)
}
