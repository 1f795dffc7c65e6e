package servers

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/backend/raftlocal"
	"github.com/fencelock/fencelock/driver"
)

// everyData runs a test with each kind of etcd and ZooKeeper, and a member of ours, as this
// machine starts it, and the current ones as plain processes where that is possible. It is for short
// tests: those that take long keep to current ones.
func everyData(t *testing.T, test func(t *testing.T, k Kind)) {
	for _, k := range slices.Concat(Etcds(), ZooKeepers(), []Kind{Raft}) {
		t.Run(k.String(), func(t *testing.T) { test(t, k) })
	}
	asProcesses(t, test)
}

// asProcesses runs a test with those of the current kinds that have a program here.
func asProcesses(t *testing.T, test func(t *testing.T, k Kind)) {
	for _, k := range []Kind{Etcd, ZooKeeper, Raft} {
		if _, err := findProgram(k); err == nil {
			t.Run(k.String()+" as a process", func(t *testing.T) {
				t.Setenv("FENCELOCK_SERVERS", "process")
				test(t, k)
			})
		}
	}
}

func TestFaultsOfServersWithData(t *testing.T) {
	test := func(t *testing.T, k Kind) {
		began := time.Now()
		var s *Server
		t.Run("the test that uses it", func(t *testing.T) {
			s = Start(t, k)
			t.Logf("%v in %v", s, time.Since(began).Round(time.Millisecond))
			addr := s.Addr()
			write(t, s, "kept")
			s.Kill(t)
			if answers(s) {
				t.Error("it answers after Kill")
			}
			s.Restart(t)
			if s.Addr() != addr || !answers(s) || !holds(t, s, "kept") {
				t.Errorf("after Kill and Restart, at %s: %v; it was at %s", s.Addr(), answers(s), addr)
			}
			s.Restart(t) // one that runs
			if holds(t, s, "other") || !holds(t, s, "kept") {
				t.Error("it has lost what it had, or has what it had not")
			}
			s.Pause(t)
			if answers(s) {
				t.Error("it answers while it is paused")
			}
			s.Unpause(t)
			if !answers(s) {
				t.Error("it does not answer after Unpause")
			}
			s.Pause(t) // and is removed so
		})
		if answers(s) {
			t.Error("it still answers")
		}
	}
	everyCluster(t, test)
	asProcesses(t, test)
}

func TestMetrics(t *testing.T) {
	for k, name := range map[string]string{
		"etcd": "etcd_server_proposals_committed_total", "ZooKeeper": "zk_packets_received",
	} {
		t.Run(k, func(t *testing.T) {
			s := Start(t, map[string]Kind{"etcd": Etcd, "ZooKeeper": ZooKeeper}[k])
			before := Metrics(t, s)
			write(t, s, "counted")
			after := Metrics(t, s)
			if before[name] <= 0 || after[name] <= before[name] {
				t.Errorf("%s was %v and is %v", name, before[name], after[name])
			}
		})
	}
	r := Start(t, Redis70)
	fails(t, func(t T) { Metrics(t, r) }, "no metrics of Redis")
}

func TestParseNumbers(t *testing.T) {
	got := parseNumbers("# HELP a b 1\na{l=\"x y\"} 2e3\nplain 1\nversion x\n\n", " ")
	if len(got) != 2 || got[`a{l="x y"}`] != 2000 || got["plain"] != 1 {
		t.Errorf("%v", got)
	}
}

// write makes a server keep something, by etcd's gateway or a client.
func write(t *testing.T, s *Server, name string) {
	t.Helper()
	switch s.kind.product {
	case Etcd.product:
		gateway(t, s, "put", `{"key":%q,"value":"eA=="}`, name)
		return
	case Raft.product:
		if _, err := raftClient(t, s).Acquire(t.Context(), driver.Request{Key: name, AttemptID: "owner", TTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
		return
	}
	if _, err := zooKeeperClient(t, s).Create("/"+name, nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
}

func holds(t *testing.T, s *Server, name string) bool {
	t.Helper()
	switch s.kind.product {
	case Raft.product:
		status, err := raftClient(t, s).Inspect(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return status.Held()
	case Etcd.product:
		return bytes.Contains(gateway(t, s, "range", `{"key":%q}`, name), []byte(`"count":"1"`))
	}
	found, _, err := zooKeeperClient(t, s).Exists("/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func gateway(t *testing.T, s *Server, op, body, key string) []byte {
	t.Helper()
	body = fmt.Sprintf(body, base64.StdEncoding.EncodeToString([]byte(key)))
	answer, err := httpSend(t.Context(), http.MethodPost, s.addr, "/v3/kv/"+op, body)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

type silent struct{}

func (silent) Printf(string, ...any) {}

func raftClient(t *testing.T, s *Server) driver.Backend {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	b, err := raftlocal.New(ctx, &raftlocal.Options{Hosts: []string{s.addr}, Cluster: RaftCluster, Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func zooKeeperClient(t *testing.T, s *Server) *zk.Conn {
	t.Helper()
	c, _, err := zk.Connect([]string{s.addr}, 5*time.Second, zk.WithLogger(silent{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
