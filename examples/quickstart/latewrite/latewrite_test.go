package latewrite

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	_ "github.com/fencelock/fencelock/backend/raftlocal"
)

// TestMain lets the test binary be a worker's process, as the program is.
func TestMain(m *testing.M) {
	if name := os.Getenv(nameVariable); name != "" && name == os.Getenv(failVariable) {
		os.Exit(3)
	}
	if os.Getenv(nameVariable) != "" {
		Main(os.Getenv(urlVariable))
		return
	}
	goleak.VerifyTestMain(m)
}

func TestLateWriteIsRefused(t *testing.T) {
	var out bytes.Buffer
	began := time.Now()
	err := inDirectory("", func(url string) error { return run(t.Context(), url, &out) })
	t.Logf("after %v:\n%s", time.Since(began).Round(time.Millisecond), &out)
	if err != nil {
		t.Fatal(err)
	}

	// In this order, whatever comes between.
	story := []string{
		`ada +has the lock, token \d+`,
		`ada +writes 110`,
		`bob +has the lock, token \d+`,
		`bob +IS SUSPENDED`,
		`carol +has the lock, token \d+`,
		`carol +writes 120`,
		`bob +WAKES UP, believes that it has the lock, and writes 120`,
		`bob +is refused: fencing: stale token \d+ for "accounts/7": \d+ has been seen`,
		`bob +looks at its lease: .*lease lost`,
		`bob +starts again`,
		`bob +has the lock, token \d+`,
		`bob +writes 140`,
		`late writes refused by the token: 1`,
		`leases valid at the same time: +0`,
		`balance: +140, and 100 \+ 4 × 10 = 140`,
	}
	rest := out.String()
	for _, line := range story {
		at := regexp.MustCompile(line).FindStringIndex(rest)
		if at == nil {
			t.Fatalf("it does not say %q, or not after the line before", line)
		}
		rest = rest[at[1]:]
	}
}

// failVariable names a worker that fails.
const failVariable = "LATEWRITE_FAIL"

// The others would wait for one that fails, until the time for all of it is over.
func TestWorkerFails(t *testing.T) {
	t.Setenv(failVariable, "carol")
	err := inDirectory("", func(url string) error { return run(t.Context(), url, &bytes.Buffer{}) })
	if err == nil || err.Error() != "carol: exit status 3: " {
		t.Errorf("it ended with: %v", err)
	}
}

func TestNoSuchServer(t *testing.T) {
	err := run(t.Context(), "nonsense://user:secret@host", &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "nonsense") || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v, want an error that names the scheme, and not the password", err)
	}
}
