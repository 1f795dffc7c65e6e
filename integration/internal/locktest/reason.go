package locktest

import (
	"context"
	"errors"
	"strings"
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
