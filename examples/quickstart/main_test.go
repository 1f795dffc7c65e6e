package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestOtherServers(t *testing.T) {
	for _, url := range []string{"", "raft:///some/directory", "raft://host:7600"} {
		if err := check(url); err != nil {
			t.Errorf("%q: %v", url, err)
		}
	}
	err := check("redis://:secret@localhost")
	if err == nil || !strings.Contains(err.Error(), "go run ./examples/anyserver") || strings.Contains(err.Error(), "secret") {
		t.Errorf("it says %v, want the command for other servers, and no password", err)
	}
}

// The first run downloads what is on this list, and compiles it. What only tests need is not
// downloaded.
func TestLittleToDownload(t *testing.T) {
	const ours = "github.com/fencelock/fencelock"
	want := map[string]bool{"go.etcd.io/raft/v3": true, "google.golang.org/protobuf": true}

	out, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for module := range strings.FieldsSeq(string(out)) {
		if module != ours && !strings.HasPrefix(module, ours+"/") && !want[module] {
			t.Errorf("it needs %s", module)
		}
	}

	// In the workspace of the whole repository, the go command would load the module graph of
	// each backend, and download a hundred go.mod files.
	out, err = exec.Command("go", "env", "GOWORK").Output()
	if err != nil {
		t.Fatalf("go env: %v", err)
	}
	if work := strings.TrimSpace(string(out)); work != "off" && filepath.Base(filepath.Dir(work)) != "quickstart" {
		t.Errorf("go -C examples/quickstart is in the workspace %s, want its own", work)
	}
	list := exec.Command("go", "list", "-m", "all")
	list.Env = append(os.Environ(), "GOWORK=off") // in a workspace it writes a go.work.sum
	out, err = list.Output()
	if err != nil {
		t.Fatalf("go list -m: %v", err)
	}
	for _, heavy := range []string{"redis", "etcd/", "zookeeper", "grpc", "testcontainers"} {
		if strings.Contains(string(out), heavy) {
			t.Errorf("%s is in its module graph:\n%s", heavy, out)
		}
	}
}
