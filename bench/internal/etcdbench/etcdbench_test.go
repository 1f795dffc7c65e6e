package etcdbench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fencelock/fencelock/bench/internal/scenario"
)

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
