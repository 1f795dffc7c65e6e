package main

import (
	"slices"
	"testing"

	"github.com/fencelock/fencelock/bench/internal/scenario"
)

func TestParse(t *testing.T) {
	c, err := parse([]string{"-backend", "redis", "-only", "alone,queue", "-rounds", "2"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.only, []string{"alone", "queue"}) || c.rounds != 2 || c.leases != 100_000 {
		t.Errorf("parsed %+v", c)
	}
	for _, wrong := range [][]string{{"-backend", "consul"}, {"-only", "nothing"}, {"-leases", "-1"}, {"stray"}, {"-backend", "raftlocal", "-before", "HEAD"}} {
		if _, err := parse(wrong); err == nil {
			t.Errorf("parse(%q) succeeded", wrong)
		}
	}
}

func TestLeasesFirst(t *testing.T) {
	for _, s := range systems() {
		all := order(s)
		seen := map[string]bool{}
		for _, one := range all {
			seen[one.Name] = true
		}
		if len(all) != len(names()) || len(seen) != len(all) {
			t.Errorf("%s: %d scenarios, %d of them different", s.Name, len(all), len(seen))
		}
		if first := all[0].Name == scenario.Leases; first != (s.Name == "cluster") {
			t.Errorf("%s begins with %s", s.Name, all[0].Name)
		}
	}
}

func TestBeforeIsForOneServer(t *testing.T) {
	for _, backend := range []string{"redis", "etcd", "zookeeper"} {
		if _, err := parse([]string{"-backend", backend, "-before", "HEAD"}); err != nil {
			t.Errorf("%s: %v", backend, err)
		}
	}
}

func TestParseTakesTheDefaultsOfTheSystem(t *testing.T) {
	t.Setenv("FENCELOCK_REDIS_ADDR", "redis:1")
	t.Setenv("FENCELOCK_ETCD_ADDR", "etcd:2")
	t.Setenv("FENCELOCK_ZOOKEEPER_ADDR", "zookeeper:3")
	for backend, want := range map[string]struct {
		addr   string
		leases int
	}{"redis": {"redis:1", 100_000}, "etcd": {"etcd:2", 100_000}, "zookeeper": {"zookeeper:3", 10_000}} {
		c, err := parse([]string{"-backend", backend})
		if err != nil {
			t.Fatal(err)
		}
		if c.system.Name != backend || c.addr != want.addr || c.leases != want.leases {
			t.Errorf("%s: system %s, address %s, %d leases; want %+v", backend, c.system.Name, c.addr, c.leases, want)
		}
	}
	c, err := parse([]string{"-backend", "etcd", "-addr", "other:4", "-leases", "5"})
	if err != nil {
		t.Fatal(err)
	}
	if c.addr != "other:4" || c.leases != 5 {
		t.Errorf("flags do not come first: %s, %d leases", c.addr, c.leases)
	}
}
