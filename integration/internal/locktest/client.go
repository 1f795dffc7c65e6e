package locktest

import (
	"log/slog"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
)

// Silent is the logger of a client whose losses are part of the test.
var Silent = slog.New(slog.DiscardHandler)

// Open makes a client by a URL, and closes it at the test's end.
func Open(t T, u, ns string, ttl time.Duration) *fencelock.Client {
	t.Helper()
	c, err := fencelock.Open(t.Context(), u, &fencelock.Options{Namespace: ns, TTL: ttl, Logger: Silent})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	closeAtEnd(t, c)
	return c
}

// New makes a client of a backend, and closes it at the test's end.
func New(t T, b driver.Backend, ttl time.Duration) *fencelock.Client {
	t.Helper()
	c, err := fencelock.New(b, &fencelock.Options{TTL: ttl, Logger: Silent})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	closeAtEnd(t, c)
	return c
}
