package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/fencelock/fencelock/bench/internal/before"
	"github.com/fencelock/fencelock/bench/internal/ours"
	"github.com/fencelock/fencelock/bench/internal/report"
)

func TestContestantsOursFirst(t *testing.T) {
	peers := map[string][]string{
		"redis":     {"raw", "rueidislock"},
		"etcd":      {"raw", "concurrency.Mutex"},
		"zookeeper": {"raw", "zk.Lock"},
		"sentinel":  {"raw", "raw, pipelined", "rueidislock", "redislock"},
		"cluster":   {"raw", "raw, pipelined", "rueidislock", "redislock"},

		"raftlocal":  {"bare proposal", "etcd: raw", "etcd: concurrency.Mutex"},
		"raftlocal3": {"bare proposal", "etcd: raw", "etcd: concurrency.Mutex"},

		"redlock":  {"fencelock, no token", "raw, two rounds", "raw, one round", "redsync", "redsync, fail fast"},
		"redlock5": {"fencelock, no token", "raw, two rounds", "raw, one round", "redsync", "redsync, fail fast"},
	}
	beside := map[string]string{"raftlocal": ";127.0.0.1:2", "raftlocal3": ";127.0.0.1:2"}
	for _, s := range systems() {
		t.Run(s.Name, func(t *testing.T) {
			all := s.Contestants("127.0.0.1:1" + beside[s.Name])
			if all[0].Name != ours.Name || !all[0].Token {
				t.Errorf("first is %+v", all[0])
			}
			names := map[string]bool{}
			for _, c := range all {
				names[c.Name] = true
				if c.Open == nil || c.Waits == "" {
					t.Errorf("%s is not complete", c.Name)
				}
			}
			if len(names) != len(all) {
				t.Errorf("names: %v", names)
			}
			if len(peers[s.Name]) == 0 {
				t.Error("this test does not know its peers")
			}
			for _, name := range peers[s.Name] {
				if !names[name] {
					t.Errorf("no %s in %v", name, names)
				}
			}
			// A budget against somebody who does not take part would be "not measured" for ever.
			for _, b := range s.Budgets(10) {
				if (b.Against != "" && !names[b.Against]) || (b.Of != "" && !names[b.Of]) {
					t.Errorf("%+v is against nobody in %v", b, names)
				}
			}
			if s.Beside == nil {
				return
			}
			for _, b := range s.Beside(before.NowName, before.Name, 10) {
				if b.Of != before.NowName || b.Against != before.Name {
					t.Errorf("%+v does not compare the two builds", b)
				}
			}
		})
	}
}

// replicated are the budgets of Sentinel and of a Cluster.
var replicated = []string{
	"alone/one caller/p50 ≤ 1.1 × raw (floor 1.75)",
	"callers/64 callers/pairs/s ≥ 1.5 × rueidislock",
	"callers/64 callers/pairs/s ≥ 1.5 × redislock",
	"callers/1024 callers/pairs/s ≥ 1.5 × rueidislock",
	"callers/1024 callers/pairs/s ≥ 1.5 × redislock",
	"queue/64 waiting clients/per hand-off ≤ 0.5 × rueidislock",
	"queue/64 waiting clients/per hand-off ≤ 0.5 × redislock",
	"failover/a master killed/ms after the bare client ≤ 300 ms",
	"failover/a master paused/ms after the bare client ≤ 300 ms",
	"leases/10 held leases/memory each ≤ 600 B",
}

func TestBudgets(t *testing.T) {
	for name, wanted := range map[string][]string{
		"redis": {
			"alone/one caller/p50 ≤ 1.1 × raw (floor 1.75)",
			"alone/one caller/p50 ≤ 0.8 × rueidislock (floor 1.1)",
			"callers/8 callers/pairs/s ≥ 1.2 × rueidislock (floor 0.6)",
			"callers/64 callers/pairs/s ≥ 2 × rueidislock (floor 1.3)",
			"callers/64 callers/allocs ≤ 15 a pair (floor 20)",
			"callers/64 callers/wire bytes ≤ 250 B a pair",
			"callers/1024 callers/pairs/s ≥ 2 × rueidislock (floor 1)",
			"queue/16 waiting clients/per hand-off ≤ 0.5 × rueidislock (floor 0.75)",
			"queue/64 waiting clients/per hand-off ≤ 0.2 × rueidislock (floor 0.5)",
			"queue/256 waiting clients/per hand-off ≤ 0.1 × rueidislock (floor 0.12)",
			"queue/256 waiting clients/commands ≤ 3 per hand-off (floor 4)",
			"leases/10 held leases/memory each ≤ 600 B",
		},
		"etcd": {
			"alone/one caller/p50 ≤ 1.02 × concurrency.Mutex (floor 1.08)",
			"alone/one caller/allocs ≤ 250 a pair",
			"alone/one caller/proposals ≤ 2 a pair",
			"callers/8 callers/pairs/s ≥ 1.1 × concurrency.Mutex (floor 0.9)",
			"callers/64 callers/pairs/s ≥ 1 × raw",
			"callers/64 callers/pairs/s ≥ 1 × concurrency.Mutex",
			"callers/1024 callers/pairs/s ≥ 1 × raw",
			"callers/1024 callers/pairs/s ≥ 1 × concurrency.Mutex",
			"turns/2 clients in turn/gap p50 ≤ 1.1 × raw",
			"queue/16 waiting clients/per hand-off ≤ 0.85 × concurrency.Mutex",
			"queue/64 waiting clients/per hand-off ≤ 0.65 × concurrency.Mutex",
			"queue/256 waiting clients/proposals ≤ 2 per hand-off",
		},
		"zookeeper": {
			"alone/one caller/p50 ≤ 0.95 × zk.Lock (floor 1)",
			"alone/one caller/allocs ≤ 60 a pair (floor 70)",
			"callers/8 callers/pairs/s ≥ 1.3 × zk.Lock",
			"callers/64 callers/pairs/s ≥ 1 × zk.Lock",
			"queue/64 waiting clients/per hand-off ≤ 1 × zk.Lock",
			"queue/1024 waiting clients/per hand-off ≤ 0.65 × zk.Lock",
			"leases/10 held leases/memory each ≤ 2,200 B",
		},
		"raftlocal": {
			"callers/64 callers/pairs/s ≥ 5 × etcd: raw",
			"callers/64 callers/pairs/s ≥ 5 × etcd: concurrency.Mutex",
			"queue/256 waiting clients/entries ≤ 2.25 per hand-off",
		},
		"raftlocal3": {"callers/64 callers/pairs/s ≥ 2 × etcd: raw"},
		"sentinel":   replicated,
		"cluster":    replicated,
		"redlock": {
			"alone/one caller/p50 ≤ 1.15 × raw, two rounds",
			"alone/one caller/p50 of fencelock, no token ≤ 1.1 × raw, one round",
			"callers/64 callers/pairs/s ≥ 2 × redsync",
			"contend/16 contending clients/locks/s ≥ 1 × redsync",
			"contend/64 contending clients/wait p99 ≤ 0.1 × redsync",
			"contend/64 contending clients/commands ≤ 0.5 × redsync",
			"contend/64 contending clients/commands ≤ 3 × ours with 2 contending clients",
			"queue/16 waiting clients/per hand-off ≤ 0.2 × redsync",
			"queue/64 waiting clients/per hand-off ≤ 0.2 × redsync",
			"blackhole/one caller/p50 ≤ 1.2 × ours while all answer",
			"blackhole/64 callers/p50 ≤ 1.2 × ours while all answer",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := systems()[slices.Index(systemNames(), name)]
			var got []string
			for _, b := range s.Budgets(10) {
				r := report.Run{}
				r.Judge(ours.Name, []report.Budget{b})
				metric := b.Metric
				if b.Of != "" {
					metric += " of " + b.Of
				}
				got = append(got, b.Scenario+"/"+b.Case+"/"+metric+" "+r.Verdicts[0].Must)
			}
			for _, want := range wanted {
				if !slices.Contains(got, want) {
					t.Errorf("no budget says %q; there are\n%s", want, strings.Join(got, "\n"))
				}
			}
			slices.Sort(got)
			if distinct := slices.Compact(slices.Clone(got)); len(distinct) != len(got) {
				t.Errorf("some are there twice:\n%s", strings.Join(got, "\n"))
			}
		})
	}
}
