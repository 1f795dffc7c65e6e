package model_test

import (
	"errors"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/model"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/script"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
)

// That the model is what the scripts are, integration/redlock tests on real servers, step for step. Here is what
// cannot be done to those: clocks that jump, and nodes that come back with old data.

var start = time.UnixMilli(1_700_000_000_000)

func take(attemptID string, try uint64, ttl time.Duration) wire.Take {
	return wire.Take{Key: "k", ID: wire.ID{AttemptID: attemptID, Try: try}, TTL: ttl, Channel: attemptID}
}

func outcome(t *testing.T, n *model.Node, at time.Duration, r wire.Request) wire.Outcome {
	t.Helper()
	reply, _ := n.Do(start.Add(at), r)
	switch reply := reply.(type) {
	case wire.TakeReply:
		return reply.Outcome
	case wire.Reply:
		return reply.Outcome
	case wire.RenewReply:
		return reply.Outcomes[0]
	}
	t.Fatalf("%T: %v", r, reply)
	return 0
}

func TestClockJumps(t *testing.T) {
	n := model.New()
	outcome(t, n, 0, take("a", 1, time.Second))
	n.Skew = 2 * time.Second // a's lease has ended, by the node's clock
	if o := outcome(t, n, 0, take("b", 1, time.Second)); o != wire.Done {
		t.Errorf("after the lease: %v", o)
	}
	n.Skew = -time.Hour // b's has an hour left, but for who asks
	if o := outcome(t, n, 0, take("a", 2, time.Second)); o != wire.Other {
		t.Errorf("in the lease: %v", o)
	}
	if o := outcome(t, n, time.Second+2*time.Millisecond, take("a", 3, time.Second)); o != wire.Done {
		t.Errorf("a dead holder stays for longer than its TTL: %v", o)
	}
}

func TestSnapshot(t *testing.T) {
	n := model.New()
	outcome(t, n, 0, take("a", 1, time.Second))
	waits := take("b", 1, time.Second)
	waits.Queue = true
	outcome(t, n, 0, waits)
	old := n.Snapshot()
	outcome(t, n, 0, wire.End{Key: "k", ID: wire.ID{AttemptID: "a", Try: 1}, KeepOut: time.Minute})
	outcome(t, n, 0, take("c", 1, time.Second))
	if o := outcome(t, old, 0, wire.Renew{Leases: []wire.Lease{{Key: "k", ID: wire.ID{AttemptID: "a", Try: 1}, TTL: time.Second}}}); o != wire.Done {
		t.Errorf("the old data have lost the lease: %v", o)
	}
	if len(old.Tombstones) != 0 || len(old.Queues) != 1 || old.Counters[script.Shard("k")] >= n.Counters[script.Shard("k")] {
		t.Errorf("the old data have changed: %+v", old)
	}
}

func TestCounterAtItsEnd(t *testing.T) {
	n := model.New()
	n.Raise(script.Shard("k"), 1<<53-1)
	reply, _ := n.Do(start, take("a", 1, time.Second))
	if err, ok := reply.(error); !ok || !errors.Is(err, model.ErrCounter) {
		t.Errorf("%v", reply)
	}
}

// The End of a try that comes after a newer one of its attempt has the key leaves no position in the queue: the attempt
// releases the key without leaving, and the next release would tell nobody but the attempt that is gone.
func TestLateEndLeavesNoPosition(t *testing.T) {
	n := model.New()
	late := wire.End{Key: "k", ID: wire.ID{AttemptID: "a", Try: 1}, Failed: true, Queue: true, Channel: "a", TTL: time.Second}
	outcome(t, n, 0, take("a", 2, time.Second))
	outcome(t, n, 0, late)
	outcome(t, n, 0, wire.End{Key: "k", ID: wire.ID{AttemptID: "a", Try: 2}, Failed: true})
	if reply, told := n.Do(start, wire.End{Key: "k", ID: wire.ID{AttemptID: "b", Try: 1}}); len(told) > 0 {
		t.Errorf("%+v, and %+v was told", reply, told)
	}
	outcome(t, n, 0, late) // nobody has the key: it may wait for it
	if _, told := n.Do(start, wire.End{Key: "k", ID: wire.ID{AttemptID: "b", Try: 2}}); len(told) != 1 || told[0].Notice.AttemptID != "a" {
		t.Errorf("%+v was told, want a", told)
	}
}

// A holder whose answer was lost may still be in the queue. It is no waiter.
func TestHolderIsNoWaiter(t *testing.T) {
	n := model.New()
	outcome(t, n, 0, take("b", 1, time.Second))
	waits := take("a", 1, time.Second)
	waits.Queue = true
	outcome(t, n, 0, waits) // and its position is not heard of
	outcome(t, n, 0, wire.End{Key: "k", ID: wire.ID{AttemptID: "b", Try: 1}, Failed: true})
	outcome(t, n, 0, take("a", 2, time.Second))
	reply, _ := n.Do(start, wire.Look{Key: "k"})
	if r, ok := reply.(wire.LookReply); !ok || !r.Held || r.Holder.ID.AttemptID != "a" || r.Waiters != 0 {
		t.Errorf("%+v", reply)
	}
}
