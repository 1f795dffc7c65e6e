package servers

import (
	"slices"
	"testing"
	"time"
)

// everyCluster runs a test with the current kinds that form clusters, as this machine
// starts them.
func everyCluster(t *testing.T, test func(t *testing.T, k Kind)) {
	for _, k := range []Kind{Etcd, ZooKeeper, Raft} {
		t.Run(k.String(), func(t *testing.T) { test(t, k) })
	}
}

func TestCluster(t *testing.T) {
	everyCluster(t, func(t *testing.T, k Kind) {
		began := time.Now()
		c := StartCluster(t, k, 3)
		t.Logf("%v in %v", c, time.Since(began).Round(time.Millisecond))
		if addrs := slices.Compact(slices.Sorted(slices.Values(c.Addrs()))); len(addrs) != 3 {
			t.Fatalf("addresses %v, want three", addrs)
		}
		leader := c.Leader(t)
		began = time.Now()
		c.Cut(t, leader) // which ends with the restart
		leader.Kill(t)
		next := c.LeaderAfter(t, leader)
		t.Logf("another leader after %v", time.Since(began).Round(time.Millisecond))
		leader.Restart(t)
		if c.Leader(t) != next {
			t.Error("the leader changed when the old one came back")
		}
		began = time.Now()
		c.Members()[1].Kill(t)
		c.Kill(t)
		c.Restart(t)
		t.Logf("all again after %v", time.Since(began).Round(time.Millisecond))
		c.Leader(t)
	})
}

func TestCut(t *testing.T) {
	everyCluster(t, func(t *testing.T, k Kind) {
		c := StartCluster(t, k, 3)
		for _, cut := range []struct {
			name string
			do   func(T, *Server)
			want []string // the chains that drop
		}{
			{"both ways", c.Cut, []string{"INPUT", "OUTPUT"}},
			{"inbound", c.CutInbound, []string{"INPUT"}},
			{"outbound", c.CutOutbound, []string{"OUTPUT"}},
		} {
			old := c.Leader(t)
			before := time.Now()
			cut.do(t, old)
			began := time.Now()
			c.LeaderAfter(t, old)
			t.Logf("%s: cut in %v, another leader %v after that", cut.name, began.Sub(before).Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
			eventually(t, "the old leader steps down", func() bool { return !c.Leads(old) })
			if !listens(t, old) {
				t.Errorf("%s: clients do not reach it", cut.name)
			}
			if got := dropping(t, old); !slices.Equal(got, cut.want) {
				t.Errorf("%s: drops at %v, want %v", cut.name, got, cut.want)
			}
			began = time.Now()
			c.Heal(t, old)
			eventually(t, "it serves again", func() bool { return answers(old) })
			t.Logf("%s: it serves %v after it was healed", cut.name, time.Since(began).Round(time.Millisecond))
		}
	})
}

// listens reports whether a member answers a question that takes no quorum.
func listens(t *testing.T, s *Server) bool {
	t.Helper()
	switch s.kind.product {
	case Etcd.product:
		_, err := etcdVersion(t.Context(), s.addr)
		return err == nil
	case Raft.product:
		_, err := raftAsk(t.Context(), s.addr)
		return err == nil
	}
	answer, err := zooKeeperAsk(t.Context(), s.addr, "ruok")
	return err == nil && answer == "imok"
}

// dropping returns the chains with a rule that has dropped something.
func dropping(t *testing.T, s *Server) (chains []string) {
	t.Helper()
	image, err := findImage(faults)
	if err != nil {
		t.Fatal(err)
	}
	for _, chain := range []string{"INPUT", "OUTPUT"} {
		count := iptables + "$i -L " + chain + " -n -v -x | awk '$3 == \"DROP\" && $1 > 0 { n++ } END { exit n != 1 }'"
		if err := runBeside(t.Context(), s.machine.(*container), image, count); err == nil {
			chains = append(chains, chain)
		}
	}
	return chains
}

func TestClusterAsProcesses(t *testing.T) {
	asProcesses(t, func(t *testing.T, k Kind) {
		c := StartCluster(t, k, 3)
		old := c.Leader(t)
		fails(t, func(t T) { c.Cut(t, old) }, "it takes Docker")
		old.Kill(t)
		c.LeaderAfter(t, old)
		if c.Leads(old) {
			t.Error("a dead member says that it leads")
		}
		old.Restart(t)
	})
}

func TestNoCluster(t *testing.T) {
	fails(t, func(t T) { StartCluster(t, Redis, 3) }, "Redis forms no clusters here")
}

func TestClusterOfOne(t *testing.T) {
	c := StartCluster(t, Etcd, 1)
	if c.Leader(t) != c.Members()[0] {
		t.Error("it does not lead itself")
	}
	fails(t, func(t T) { c.Cut(t, c.Members()[0]) }, "several members")
}
