package redlock_test

import (
	"os/exec"
	"testing"

	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestScriptsAreTheModel runs the scripts on a real server and the model beside it, step for step, also while the
// server is full. It is a program in backend/redis, since the scripts are internal there.
func TestScriptsAreTheModel(t *testing.T) {
	t.Parallel()
	const program = "github.com/fencelock/fencelock/backend/redis/redlock/internal/script/steps"
	for _, kind := range servers.AllRedises() {
		for _, more := range []string{"-full=false", "-full"} {
			t.Run(kind.String()+" "+more, func(t *testing.T) {
				t.Parallel()
				s := servers.Start(t, kind)
				out, err := exec.CommandContext(t.Context(), "go", "run", program, "-addr", s.Addr(), "-seeds", "4", more).CombinedOutput()
				if err != nil {
					t.Errorf("%v: %s", err, out)
					return
				}
				t.Logf("%s", out)
			})
		}
	}
}
