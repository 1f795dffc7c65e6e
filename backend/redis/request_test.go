package redis

import (
	"errors"
	"fmt"
	"reflect"
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

// The server's own compare-and-delete is for a release of what is known to be held, and compares all of the
// record; the request of an attempt that asks again is none, though it has a grant.
func TestDeletion(t *testing.T) {
	b := offline(t)
	release := part{kind: kind{script: releaseScript}, lock: "ns:{1}:k:l", attempt: "me", held: held{17, "60001", "who"}}
	unknown := part{kind: kind{script: releaseScript}, lock: "ns:{1}:k:l", attempt: "me"}
	acquire := part{kind: kind{acquireScript, "60001", "try", "who"}, lock: "ns:{1}:k:l", attempt: "me"}
	record := "+ me " + b.channel + " 17 60001 who"
	for _, tc := range []struct {
		command string
		p       part
		want    []any
	}{
		{"DELEX", release, []any{"delex", &release.lock, "ifeq", record}},
		{"DELIFEQ", release, []any{"delifeq", &release.lock, record}},
		{"", release, nil},
		{"DELEX", unknown, nil},
		{"DELEX", acquire, nil},
		{"DELIFEQ", acquire, nil},
	} {
		if got := b.store.(*server).deletion(tc.command, &tc.p); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.command, got, tc.want)
		}
	}
}
