package locktest

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
)

// Log is what a client has logged.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write is for a handler.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Logger writes to it.
func (l *Log) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// ExpectOutageTold opens a URL, has a server go away and come back, and wants the log to have one
// line about each.
func ExpectOutageTold(t *testing.T, url, ns string, leave, comeBack func()) {
	t.Helper()
	var log Log
	c, err := fencelock.Open(t.Context(), url, &fencelock.Options{Namespace: ns, TTL: 2 * time.Second, Logger: log.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.TryLock(t.Context(), "held"); err != nil { // that there is something to keep alive
		t.Fatal(err)
	}
	const lost, back = "the server cannot be reached", "the server can be reached again"
	await := func(what string) {
		t.Helper()
		for end := time.Now().Add(3 * Soon); !strings.Contains(log.String(), what); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the log does not say %q:\n%s", what, log.String())
			}
		}
	}
	leave()
	await(lost)
	time.Sleep(time.Second) // for more lines, which may not come
	comeBack()
	if _, err := c.Lock(t.Context(), "other"); err != nil {
		t.Logf("Lock: %v", err) // it may give up a moment before
	}
	if strings.Contains(log.String(), back) { // else only what holds leases asks, and it has lost them
		t.Log("the log says that it is back")
	} else if _, err := c.Lock(t.Context(), "third"); err != nil {
		t.Errorf("Lock: %v", err)
	}
	await(back)
	for _, what := range []string{lost, back} {
		if n := strings.Count(log.String(), what); n != 1 {
			t.Errorf("the log says %d times %q", n, what)
		}
	}
	t.Log(log.String())
}
