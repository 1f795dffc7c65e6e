package integration_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fakeGo stands for the go command: of the parts of test.sh some fail, each in its own way.
const fakeGo = `#!/bin/sh
echo "$*" >>"$LOG"
case "$*" in
"env CGO_ENABLED") echo 1 ;;
*internal/proxy*) cat <<'END'
ok  	github.com/fencelock/fencelock/fencing	0.1s
# github.com/fencelock/fencelock/bench [github.com/fencelock/fencelock/bench.test]
bench/bench_test.go:3:1: syntax error
--- FAIL: TestRoot (0.00s)
    root_test.go:1: no
FAIL
FAIL	github.com/fencelock/fencelock	0.2s
FAIL	github.com/fencelock/fencelock/bench [build failed]
FAIL
END
exit 1 ;;
*integration/redis*) cat <<'END'
=== RUN   TestConformance
--- FAIL: TestConformance (1.00s)
    --- PASS: TestConformance/Redis_7.0 (0.30s)
    --- FAIL: TestConformance/Redis_8 (0.50s)
        --- FAIL: TestConformance/Redis_8/Fair(1+1) (0.20s)
--- PASS: TestTokens (1.00s)
FAIL
FAIL	github.com/fencelock/fencelock/integration/redis	2.0s
FAIL
END
exit 1 ;;
*integration/zookeeper*) cat <<'END'
panic: test timed out after 30m0s
	running tests:
		TestEnd (29m59s)

goroutine 1 [running]:
FAIL	github.com/fencelock/fencelock/integration/zookeeper	1800.0s
FAIL
END
exit 1 ;;
*integration/process*) cat <<'END'
--- PASS: TestKill (1.00s)
PASS
servers: a goroutine is left over, of
		TestOfNothing
FAIL	github.com/fencelock/fencelock/integration/process	3.0s
FAIL
END
exit 1 ;;
"-C examples/quickstart run .") exit 1 ;;
*) cat <<'END'
=== RUN   TestMutants
        --- FAIL: TestMutants/this_one_is_meant_to (0.00s)
--- PASS: TestMutants (0.00s)
ok  	github.com/fencelock/fencelock/integration/some	1.0s
END
esac
`

// runTests runs test.sh with that, and returns what it said, its exit code, and the commands.
func runTests(t *testing.T, args ...string) (said string, code int, commands []string) {
	t.Helper()
	dir := t.TempDir()
	script, err := os.ReadFile("test.sh")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "integration", "test.sh"), string(script))
	write(t, filepath.Join(dir, "bin", "go"), fakeGo)
	write(t, filepath.Join(dir, "go.work"), "use (\n\t.\n\t./backend/raftlocal\n\t./bench\n\t./integration\n)\n")
	cmd := exec.Command(filepath.Join(dir, "integration", "test.sh"), args...)
	log := filepath.Join(dir, "log")
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"), "LOG="+log, "ARGS=-run 'One|Two'")
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	all, _ := os.ReadFile(log)
	return string(out), cmd.ProcessState.ExitCode(), strings.Split(strings.TrimSpace(string(all)), "\n")
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o700); err != nil {
		t.Fatal(err)
	}
}

// All parts run, though one fails, and the end names each failure with the command for it.
func TestAllPartsRun(t *testing.T) {
	said, code, commands := runTests(t)
	if code != 1 {
		t.Errorf("it ended with %d", code)
	}
	if last := commands[len(commands)-1]; last != "-C examples/quickstart run ." {
		t.Errorf("the last command was go %s", last)
	}
	if !slices.ContainsFunc(commands, func(c string) bool { return strings.HasPrefix(c, "test -race -run One|Two ./... ./bench/... ") }) {
		t.Errorf("ARGS, or a module of go.work, is not in %q", commands)
	}
	for _, part := range []string{": unit: ", ": redis: ", "ok      0:00  etcd\n", "FAILED  0:00  zookeeper\n", "== what ran"} {
		if !strings.Contains(said, part) {
			t.Errorf("it does not say %q", part)
		}
	}
	_, failed, _ := strings.Cut(said, "== what failed, and how to run it again by itself\n")
	const want = `  github.com/fencelock/fencelock TestRoot
      go test -count=1 -race -v -run '^TestRoot$' .
  github.com/fencelock/fencelock/bench
      go test -count=1 -race ./bench
  github.com/fencelock/fencelock/integration/redis TestConformance/Redis_8/Fair(1+1)
      go test -count=1 -race -v -run '^TestConformance$/^Redis_8$/^Fair\(1\+1\)$' ./integration/redis
  github.com/fencelock/fencelock/integration/zookeeper TestEnd
      go test -count=1 -v -run '^TestEnd$' ./integration/zookeeper
  github.com/fencelock/fencelock/integration/process
      go test -count=1 ./integration/process
  quickstart
      go -C examples/quickstart run .
`
	if failed != want {
		t.Errorf("what failed:\n%s\nwant\n%s", failed, want)
	}
}

// A package of tests that no part names would never be run.
func TestEveryPackageIsInAPart(t *testing.T) {
	_, _, commands := runTests(t)
	tested := strings.Fields(strings.Join(commands, " "))
	files, err := filepath.Glob("*/*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests: %v", err)
	}
	more, err := filepath.Glob("internal/*/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, more...) {
		dir := "./integration/" + filepath.ToSlash(filepath.Dir(file)) + "/"
		if !slices.ContainsFunc(tested, func(pattern string) bool {
			below, all := strings.CutSuffix(pattern, "...")
			return all && strings.HasPrefix(dir, below) && below != "./"
		}) {
			t.Errorf("no part of test.sh has %s", dir)
		}
	}
}

func TestSomeParts(t *testing.T) {
	said, code, commands := runTests(t, "etcd", "raftlocal")
	if code != 0 || !strings.Contains(said, "== 2 of 2: raftlocal: ") || !strings.HasSuffix(said, "== all tests have passed\n") || len(commands) != 3 {
		t.Errorf("it ended with %d after %q, and said\n%s", code, commands, said)
	}
	if strings.Contains(said, "=== RUN") {
		t.Error("it tells of each test's beginning")
	}
	if said, code, _ := runTests(t, "nonsense"); code != 2 || !strings.Contains(said, "there is no part nonsense") {
		t.Errorf("it ended with %d and said %q", code, said)
	}
}
