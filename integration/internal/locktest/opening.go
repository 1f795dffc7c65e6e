package locktest

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
)

// ExpectNoOpening wants Open to fail within 5 s, without a deadline of ours, and to say why.
func ExpectNoOpening(t *testing.T, url string, words ...string) {
	t.Helper()
	began := time.Now()
	c, err := fencelock.Open(t.Context(), url, &fencelock.Options{Logger: Silent})
	if err == nil {
		_ = c.Close()
		t.Errorf("Open works")
		return
	}
	if took := time.Since(began); took > Soon+Slack {
		t.Errorf("it took %v to say %v", took, err)
	}
	expectReason(t, "Open", err, words)
	if errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v; want no error of a context", err)
	}
}

// ExpectNoLock wants TryLock, and a Lock that has 2 s, to say why the server cannot be asked.
func ExpectNoLock(t *testing.T, c *fencelock.Client, words ...string) {
	t.Helper()
	_, err := c.TryLock(t.Context(), "k")
	expectReason(t, "TryLock", err, words)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err = c.Lock(ctx, "k")
	expectReason(t, "Lock", err, words)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Lock = %v; want the context's error as well", err)
	}
}

func expectReason(t *testing.T, what string, err error, words []string) {
	t.Helper()
	if !errors.Is(err, fencelock.ErrUnavailable) && !errors.Is(err, fencelock.ErrRefused) {
		t.Errorf("%s = %v; want ErrUnavailable or ErrRefused", what, err)
		return
	}
	t.Logf("%s: %v", what, err)
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s = %v; want it to say %q", what, err, w)
		}
	}
}

// Secret is a password with characters that must be percent-encoded in a URL.
const Secret = "s3cr:t/@?#% ä"

// OpenURL opens a URL, has a lock taken and freed through it, and closes it again. An error must not show
// [Secret].
func OpenURL(t T, u string) error {
	t.Helper()
	c, err := fencelock.Open(t.Context(), u, &fencelock.Options{Namespace: Namespace(), Logger: Silent})
	if err != nil {
		if plain, encoded := Secret, url.QueryEscape(Secret); strings.Contains(err.Error(), plain) || strings.Contains(err.Error(), encoded) {
			t.Errorf("the error shows the password: %v", err)
		}
		return err
	}
	Unlock(t, Lock(t, c, "k"))
	if err := c.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	return nil
}

// ExpectRefusal wants [OpenURL] to fail, with words that tell why.
func ExpectRefusal(t T, u string, why ...string) {
	t.Helper()
	err := OpenURL(t, u)
	if err == nil {
		t.Errorf("Open succeeded; want an error that says %q", why)
		return
	}
	for _, w := range why {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("Open: %v; want an error that says %q", err, w)
		}
	}
}

// Permissions reads the rules of ACL SETUSER that the package comment in a doc.go says are enough, for a
// namespace.
func Permissions(t T, doc, ns string) []any {
	t.Helper()
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatalf("%v", err)
	}
	_, rules, ok := strings.Cut(string(text), "ACL SETUSER locks on >password ")
	if !ok {
		t.Fatalf("the package comment has no line with ACL SETUSER")
	}
	rules, _, _ = strings.Cut(rules, "\n//\n")
	var words []any
	for _, w := range strings.Fields(strings.ReplaceAll(rules, "//", "")) {
		words = append(words, strings.ReplaceAll(w, "fencelock:", ns+":"))
	}
	return words
}

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
