package member

import (
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// A try that waits for its read is not proposed behind the release that its client has sent
// meanwhile: nobody would ever release it again.
func TestTryIsNotOvertakenByItsRelease(t *testing.T) {
	sizes(t, func(t *testing.T, n int) {
		net := newNetwork(t, n)
		l := net.leader()
		p, q := net.open(l), net.open(l)
		p.want(acquire("k", "p", time.Minute), command.Granted)
		// Lowest does not tell that the try was given up: a command before it may be under way.
		q.send(tryLock("k", "q", time.Minute))
		p.send(release("k", "p"))
		q.send(release("k", "q"))
		net.settle()
		net.pass(2 * tick)
		if r, ok := q.reply(1); !ok || r.Code != command.Held {
			t.Errorf("the try: %+v, %v", r, ok)
		}
		if r, ok := q.reply(2); !ok || r.Code != command.NotHeld {
			t.Errorf("the release: %+v, %v", r, ok)
		}
		if s := l.m.state.machine.Inspect("k"); s.Held {
			t.Errorf("it is held by %s, whom nobody releases", s.AttemptID)
		}
	})
}
