package etcdbench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fencelock/fencelock/bench/internal/ours"
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/scenario"
)

func TestBudgets(t *testing.T) {
	var got []string
	for _, b := range Budgets(10) {
		r := report.Run{}
		r.Judge(ours.Name, []report.Budget{b})
		got = append(got, b.Scenario+"/"+b.Case+"/"+b.Metric+" "+r.Verdicts[0].Must)
	}
	for _, want := range []string{
		"alone/one caller/p50 ≤ 1.05 × raw",
		"alone/one caller/proposals ≤ 2 a pair",
		"callers/64 callers/pairs/s ≥ 1 × raw",
		"callers/64 callers/pairs/s ≥ 1 × concurrency.Mutex",
		"callers/1024 callers/pairs/s ≥ 1 × raw",
		"callers/1024 callers/pairs/s ≥ 1 × concurrency.Mutex",
		"turns/2 clients in turn/gap p50 ≤ 1.1 × raw",
		"queue/16 waiting clients/per hand-off ≤ 0.85 × concurrency.Mutex",
		"queue/64 waiting clients/per hand-off ≤ 0.65 × concurrency.Mutex",
		"queue/256 waiting clients/proposals ≤ 2 per hand-off",
	} {
		n := 0
		for _, g := range got {
			if g == want {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d budgets say %q, want 1; there are\n%s", n, want, strings.Join(got, "\n"))
		}
	}
}

func TestContestantsOursFirst(t *testing.T) {
	all := Contestants("127.0.0.1:1")
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
	if len(names) != len(all) || !names[rawName] || !names[mutexName] {
		t.Errorf("names: %v", names)
	}
}

func TestLoad(t *testing.T) {
	text := "# HELP etcd_server_proposals_committed_total The total number of consensus proposals committed.\n" +
		"etcd_debugging_mvcc_slow_watcher_total 3\netcd_debugging_mvcc_watcher_total 17\n" +
		"etcd_server_proposals_applied_total 41\netcd_server_proposals_committed_total 1.234567e+06\n"
	got, err := load(strings.NewReader(text))
	if want := (scenario.Load{Writes: 1234567, Watches: 17}); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	if got, err := load(strings.NewReader("etcd_debugging_mvcc_watcher_total 17\n")); err == nil {
		t.Errorf("%+v without the counter of proposals", got)
	}
}

func TestProgram(t *testing.T) {
	home := t.TempDir()
	t.Setenv("PATH", t.TempDir())
	t.Setenv("HOME", home)
	t.Setenv("XDG_CACHE_HOME", filepath.Join(home, "cache"))
	t.Setenv(programVariable, "")
	if path, err := program(); err == nil {
		t.Fatalf("found %s on a machine without etcd", path)
	} else if !strings.Contains(err.Error(), programVariable) || !strings.Contains(err.Error(), AddrVariable) {
		t.Errorf("%v: does not say how to get one", err)
	}

	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	built := filepath.Join(cache, "fencelock", "etcd-3.7.3", "etcd")
	if err := os.MkdirAll(filepath.Dir(built), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(built, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if path, err := program(); err != nil || path != built {
		t.Errorf("program() = %q, %v; want what the tests have built", path, err)
	}
	t.Setenv(programVariable, "/opt/etcd")
	if path, err := program(); err != nil || path != "/opt/etcd" {
		t.Errorf("program() = %q, %v; want the one that is named", path, err)
	}
}
