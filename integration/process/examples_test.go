package process_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestExamples runs the examples against each server, by nothing but a URL: with the
// settings that servers have by default, too, where leases cannot be as short as the
// examples ask for.
func TestExamples(t *testing.T) {
	dir := buildExamples(t)
	defaults := map[string]servers.Option{
		"etcd":      servers.Args("--heartbeat-interval", "100", "--election-timeout", "1000"),
		"zookeeper": servers.Args("tickTime=2000"),
	}
	for _, g := range targets {
		opts := []servers.Option{}
		if g.members == 1 && defaults[g.scheme] != nil {
			opts = append(opts, defaults[g.scheme])
		}
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			c := g.run(t, opts...)
			for name, want := range exampleSays {
				runExample(t, filepath.Join(dir, name), c.url(c.addrs, locktest.Namespace()), want)
			}
		})
	}
}

// exampleSays is what each example says in the end.
var exampleSays = map[string]string{
	"anyserver": `late writes refused by the token: [1-9]`,
	"trylock":   `the job is done`,
	"loss":      `the work stops: .*lease lost: the server ended it: .*evicted`,
}

// buildExamples returns the directory of their programs.
func buildExamples(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	build := exec.Command("go", "build", "-o", dir, "./...")
	build.Dir, build.Env = "../../examples", append(os.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the examples: %v\n%s", err, out)
	}
	return dir
}

// runExample wants a program to end well, and to say something.
func runExample(t *testing.T, program, url, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	run := exec.CommandContext(ctx, program)
	run.Env = append(os.Environ(), "FENCELOCK_URL="+url)
	began := time.Now()
	out, err := run.CombinedOutput()
	t.Logf("%s took %v", filepath.Base(program), time.Since(began).Round(time.Millisecond))
	if err != nil || !regexp.MustCompile(want).Match(out) {
		t.Errorf("%s ended with %v; want it to say %q; it said\n%s", filepath.Base(program), err, want, out)
	}
}
