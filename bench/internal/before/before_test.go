package before

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/work"
)

// asWorker makes the test binary play the process that works: it does so, or ends at the first request, or is
// silent.
const asWorker = "FENCELOCK_BENCH_TEST_WORKER"

func TestMain(m *testing.M) {
	switch os.Getenv(asWorker) {
	case "works":
		if err := work.Serve(context.Background(), os.Stdin, os.Stdout, openFake); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	case "ends":
		os.Exit(1)
	case "silent":
		time.Sleep(time.Minute)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

type fake struct{ url string }

func openFake(_ context.Context, o work.Open) (contest.Client, error) {
	if o.URL == "nowhere://" {
		return nil, errors.New("there is no server")
	}
	return fake{o.URL}, nil
}

func (f fake) Lock(_ context.Context, key string) (contest.Held, error) {
	if f.url != "addr as it is" {
		return nil, errors.New("opened " + f.url)
	}
	if key == "refused" {
		return nil, errors.New("refused")
	}
	return f, nil
}

func (f fake) Release(context.Context) error { return nil }
func (f fake) Close() error                  { return nil }

func play(t *testing.T, part, url string) (contest.Client, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), asWorker+"="+part)
	return open(t.Context(), cmd, "addr", func(addr string) string {
		if url != "" {
			return url
		}
		return addr + " as it is"
	}, contest.Options{TTL: time.Second})
}

func TestAnotherProcessWorks(t *testing.T) {
	c, err := play(t, "works", "")
	if err != nil {
		t.Fatal(err)
	}
	worker := work.For(c)
	if d, err := worker.Work(t.Context(), contest.Work{Key: "k", Pairs: 5}); err != nil || d.Pairs != 5 || len(d.Times) != 5 {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := worker.Work(t.Context(), contest.Work{Key: "refused", Pairs: 5}); err == nil || err.Error() != "refused" {
		t.Errorf("what the process was told is not told: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("the process did not end well: %v", err)
	}
}

func TestOpenTellsWhatTheProcessWasTold(t *testing.T) {
	if _, err := play(t, "works", "nowhere://"); err == nil || err.Error() != "there is no server" {
		t.Errorf("opened, or another error: %v", err)
	}
}

func TestAProcessThatEndsIsAnError(t *testing.T) {
	if _, err := play(t, "ends", ""); err == nil {
		t.Error("opened by a process that has ended")
	}
}

func TestTheContextEndsAProcessThatDoesNotAnswer(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), asWorker+"=silent")
	ctx, cancel := context.WithCancel(t.Context())
	c := &client{process: cmd}
	if err := c.start(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := c.Work(ctx, contest.Work{Key: "k", Pairs: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that the context has ended", err)
	}
	if err := c.Close(); err == nil {
		t.Error("the process was not killed")
	}
}

func TestTransplantReplacesTheWorkerAlone(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	write := func(dir, file, text string) {
		path := filepath.Join(dir, internal, file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"contest/contest.go", "work/work.go", "work/work_test.go", "worker/main.go", "ours/client.go"} {
		write(from, file, "new")
	}
	write(to, "contest/contest.go", "old")
	write(to, "contest/gone.go", "old")
	write(to, "ours/client.go", "old")
	if err := transplant(from, to); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"contest/contest.go": "new", "contest/gone.go": "", "work/work.go": "new", "work/work_test.go": "", "worker/main.go": "new", "ours/client.go": "old",
	} {
		text, _ := os.ReadFile(filepath.Join(to, internal, file)) // none is as good as an empty one
		if string(text) != want {
			t.Errorf("%s is %q, want %q", file, text, want)
		}
	}
}

func TestBuildNeedsACommit(t *testing.T) {
	if _, err := Build(t.Context(), "--all"); err == nil {
		t.Error("a flag was taken for a commit")
	}
}
