package zkbench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fencelock/fencelock/bench/internal/scenario"
)

const status = "Zookeeper version: 3.8.0-${mvngit.commit.id}, built on 2024-12-29 17:54 UTC\n" +
	"Latency min/avg/max: 0/0.0/0\nReceived: 5\nConnections: 1\nZxid: 0x1000001f4\nMode: standalone\n"

func TestVersion(t *testing.T) {
	for answer, want := range map[string]string{
		status:                             "ZooKeeper 3.8.0",
		"Zookeeper version: 3.9.4, built":  "ZooKeeper 3.9.4",
		"Zookeeper version: 3.9.4":         "ZooKeeper 3.9.4",
		"This ZooKeeper instance is not …": "",
	} {
		if got, err := version(answer); got != want || (err == nil) != (want != "") {
			t.Errorf("version(%q) = %q, %v; want %q", answer, got, err, want)
		}
	}
}

func TestLoad(t *testing.T) {
	const monitor = "zk_version\t3.8.0\nzk_watch_count\t12\nzk_watch_bytes\t99\n"
	got, err := load(status, monitor)
	if want := (scenario.Load{Writes: 0x1000001f4, Watches: 12}); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	if got, err := load(status, "mntr is not executed because it is not in the whitelist.\n"); err == nil {
		t.Errorf("%+v from a server that refuses mntr", got)
	}
	if got, err := load("", monitor); err == nil {
		t.Errorf("%+v from a server that says nothing", got)
	}
}

func TestPathHasOneLevelForEachKey(t *testing.T) {
	seen := map[string]string{}
	for _, key := range []string{"bench/alone/raw", "bench|alone|raw", "bench%2Falone%2Fraw", "a"} {
		p := path(lockParent, key)
		if strings.Count(p, "/") != 2 {
			t.Errorf("path of %q: %s", key, p)
		}
		if other, taken := seen[p]; taken {
			t.Errorf("%q and %q have the same path %s", key, other, p)
		}
		seen[p] = key
	}
}

func TestConfigure(t *testing.T) {
	file, err := configure("127.0.0.1:2181", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"clientPort=2181\n", "clientPortAddress=127.0.0.1\n", "dataDir=" + filepath.Dir(file)} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "forceSync") {
		t.Error("the sync of the log is not as users have it")
	}
}
