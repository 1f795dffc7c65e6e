package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver"
)

// TestVerdicts is the table of what servers answer.
func TestVerdicts(t *testing.T) {
	const unavailable, refused = 1, 2
	for _, tc := range []struct {
		err  error
		want int
		word string
	}{
		{zk.ErrNoAuth, refused, "zookeeper://user:password@host"},
		{zk.ErrAuthFailed, refused, ""},
		{zk.ErrInvalidACL, refused, ""},
		{zk.ErrBadArguments, refused, ""},
		{zk.ErrInvalidPath, refused, ""},
		{zk.ErrNoChildrenForEphemerals, refused, ""},
		{fmt.Errorf("making the node: %w; allow it", zk.ErrNoAuth), refused, "allow it"},
		{errLocal, refused, "localSessionsUpgradingEnabled"},
		{errors.New("unknown error: -6"), refused, "does not know"},
		{errors.New("unknown error: -120"), refused, "localSessionsUpgradingEnabled"},
		{errors.New("unknown error: -124"), refused, "enforce.auth.schemes"},
		{errors.New("unknown error: -125"), unavailable | refused, "quota"},
		{errors.New("unknown error: -127"), unavailable | refused, "throttled"},
		{errors.New("unknown error: -1"), unavailable, ""}, // a system error: anything may have been done
		{zk.ErrConnectionClosed, unavailable, ""},
		{zk.ErrSessionExpired, unavailable, ""},
		{zk.ErrSessionMoved, unavailable, ""},
		{zk.ErrNoServer, unavailable, ""},
		{zk.ErrNoNode, unavailable, ""},
		{ErrNoAnswer, unavailable, ""},
		{ErrClosed, unavailable, ""},
		{driver.ErrReleased, 0, ""},
		{driver.ErrNotHeld, 0, ""},
		{fmt.Errorf("%w: short sessions", driver.ErrUnsupported), 0, ""},
	} {
		got := 0
		err := Classify(t.Context(), tc.err)
		if errors.Is(err, driver.ErrUnavailable) {
			got |= unavailable
		}
		if errors.Is(err, driver.ErrRefused) {
			got |= refused
		}
		if got != tc.want || !errors.Is(err, tc.err) || !strings.Contains(err.Error(), tc.word) {
			t.Errorf("%v becomes %v: %d, want %d, and the word %q", tc.err, err, got, tc.want, tc.word)
		}
		if err := ClassifySteps(t.Context(), tc.err, false); errors.Is(err, driver.ErrRefused) || errors.Is(err, driver.ErrUnavailable) != (tc.want&unavailable != 0) {
			t.Errorf("%v after a step that was done becomes %v", tc.err, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Classify(ctx, zk.ErrConnectionClosed); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}
