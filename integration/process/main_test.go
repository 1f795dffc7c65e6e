// Package process_test runs holders and waiters that are processes of their own, on
// each backend, and kills and suspends them: what a test inside one process can only
// imitate. The test binary runs itself, see child.
package process_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/servers"
)

func TestMain(m *testing.M) {
	if r := os.Getenv(roleVariable); r != "" {
		play, known := roles[r]
		if !known {
			fmt.Fprintf(os.Stderr, "%s is %q, which is no role\n", roleVariable, r)
			os.Exit(2)
		}
		if err := play(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	servers.Main(m)
}

// roles are what a process can be.
var roles = map[string]func() error{"client": playClient, "worker": playWorker}

// soon is longer than anything takes here that nothing delays, on a machine that is
// busy.
const soon = 10 * time.Second

// slack is what a bounded delay may take longer on a machine that is busy.
const slack = time.Second
