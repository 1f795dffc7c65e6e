package redis_test

import (
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/fencing"
	"github.com/fencelock/fencelock/integration/internal/oldbuild"
)

//go:embed testdata/earlier.go
var earlierSource []byte

// earlier is a process of an earlier build, for one goroutine.
type earlier struct{ *oldbuild.Process }

func startEarlier(t *testing.T, program, addr, ns string, ttl time.Duration) *earlier {
	t.Helper()
	e := &earlier{oldbuild.Start(t, program, "redis://"+addr, ttl.String(), ns)}
	if first, err := e.Answer(); err != nil || first != "open" {
		t.Fatalf("the earlier build does not open the namespace: %q, %v", first, err)
	}
	return e
}

// patience ends a process that takes longer to obey: it waits for a lock that it should not wait for.
const patience = 30 * time.Second

// earlierError is an error of an earlier build.
type earlierError struct{ kind, text string }

func (e *earlierError) Error() string { return e.kind + ": " + e.text }

// do gives an order, and returns what it has led to.
func (e *earlier) do(order string) (answer string, err error) {
	defer time.AfterFunc(patience, e.Kill).Stop()
	if answer, err = e.Order(order); err != nil {
		return "", err
	}
	if rest, failed := strings.CutPrefix(answer, "error "); failed {
		var why earlierError
		if _, err := fmt.Sscanf(rest, "%s %q", &why.kind, &why.text); err != nil {
			return "", fmt.Errorf("%q: %w", rest, err)
		}
		return "", &why
	}
	return answer, nil
}

// take orders to "lock" or to "try", and returns the token.
func (e *earlier) take(order, key string) (token fencing.Token, err error) {
	answer, err := e.do(order + " " + key)
	if err == nil {
		_, err = fmt.Sscanf(answer, "held %d", &token)
	}
	return token, err
}

// must gives an order that succeeds.
func (e *earlier) must(t *testing.T, order string) {
	t.Helper()
	if _, err := e.do(order); err != nil {
		t.Fatalf("the earlier build: %s: %v", order, err)
	}
}

func (e *earlier) mustTake(t *testing.T, key string) fencing.Token {
	t.Helper()
	token, err := e.take("lock", key)
	if err != nil {
		t.Fatalf("the earlier build: lock %s: %v", key, err)
	}
	return token
}

// begin gives an order that may take long.
func (e *earlier) begin(order string) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := e.do(order)
		done <- err
	}()
	return done
}

// fails gives an order that fails with an error of a kind, in which there are some words.
func (e *earlier) fails(t *testing.T, order, kind, words string) {
	t.Helper()
	_, err := e.do(order)
	expectEarlierError(t, order, err, kind, words)
}

func expectEarlierError(t *testing.T, order string, err error, kind, words string) {
	t.Helper()
	t.Logf("the earlier build: %s: %v", order, err)
	var why *earlierError
	if !errors.As(err, &why) || why.kind != kind || !strings.Contains(why.text, words) {
		t.Errorf("the earlier build: %s = %v; want an error of kind %q with %q", order, err, kind, words)
	}
}

// What is in the error of an earlier build that finds no number in its counter.
const (
	keptOut       = "arithmetic on a nil value"                           // where it would grant
	sentAwayWords = "bad argument #1 to 'max' (number expected, got nil)" // where it would wait
)

// The kinds of errors that the program tells apart.
const (
	kindHeld    = "held"
	kindUnknown = "unknown"
	kindOther   = "other" // the server's own
)
