package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

const asProgram = "ANYSERVER_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	m.Run()
}

// Each scheme finds its backend, which says in its own words that nobody is there.
func TestEachScheme(t *testing.T) {
	for url, want := range map[string]string{
		"redis://user:secret@127.0.0.1:1":     "unavailable",
		"etcd://user:secret@127.0.0.1:1":      "unavailable",
		"zookeeper://user:secret@127.0.0.1:1": "unavailable",
		"raft://user:secret@127.0.0.1:1":      "invalid",

		"redlock://user:secret@127.0.0.1:1,127.0.0.1:2,127.0.0.1:3": "unavailable",
		"redis+sentinel://user:secret@127.0.0.1:1/mymaster":         "unavailable",
		"redis+cluster://user:secret@127.0.0.1:1,127.0.0.1:2":       "unavailable",
	} {
		t.Run(url[:strings.Index(url, ":")], func(t *testing.T) {
			t.Parallel()
			program := exec.Command(os.Args[0])
			program.Env = append(os.Environ(), asProgram+"=1", "FENCELOCK_URL="+url)
			out, err := program.CombinedOutput()
			said := string(out)
			if err == nil || !strings.Contains(said, want) || strings.Contains(said, "secret") || strings.Contains(said, "unknown URL scheme") {
				t.Errorf("it ended with %v and said %q", err, said)
			}
		})
	}
}
