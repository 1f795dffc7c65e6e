package redis

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver/batch"
)

// TestWasSent: a part that was not taken was never sent, so no tombstone is needed for it; one without an answer may
// have been.
func TestWasSent(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]bool{
		batch.ErrNotTaken:                      false,
		fmt.Errorf("x: %w", batch.ErrNotTaken): false,
		node.ErrNotSent:                        false,
		node.ErrNoAnswer:                       true,
		node.ErrStale:                          true,
		errors.New("anything else"):            true,
	} {
		if got := wasSent(err); got != want {
			t.Errorf("wasSent(%v) = %v", err, got)
		}
	}
}

// TestAnswerOf: an error of one part is a string in its place, and no other part gets it.
func TestAnswerOf(t *testing.T) {
	t.Parallel()
	p := &part{kind: kind{script: acquireScript}}
	reply := []any{int64(7), "OOM no memory", nil}
	for i, want := range []any{int64(7), nil, nil} {
		a := answerOf(p, reply, i, 3, time.Now())
		if a.reply != want || (a.err != nil) != (i == 1) {
			t.Errorf("answer %d: %v, %v", i, a.reply, a.err)
		}
	}
	if a := answerOf(p, reply, 0, 2, time.Now()); a.err == nil {
		t.Error("a reply with too many answers is taken")
	}
}
