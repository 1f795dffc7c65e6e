package recipe

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/vote"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

// Evict ends the grant that an attempt has of a key, or whatever grant the key has if attemptID is empty. The End names
// the try that it ends, so a node never ends what has come after it; repairs of the grant, and what else of that try may
// be on its way, are kept out.
//
// Where too few nodes answer to know who has the key, all who may have it are ended, or the one attempt if it is one of
// them: what the others have is no grant.
func (b *Backend) Evict(ctx context.Context, key, attemptID string) error {
	v, err := b.look(ctx, key)
	if err != nil {
		return err
	}
	if attemptID != "" {
		v.maybe = slices.DeleteFunc(v.maybe, func(id wire.ID) bool { return id.AttemptID != attemptID })
	}
	if v.holder.ID.AttemptID == "" || len(v.maybe) == 0 {
		return driver.ErrNotHeld
	}
	for _, id := range v.maybe {
		var answer vote.Answer
		var some bool
		switch answer, some, err = b.evict(ctx, key, id); {
		case answer == vote.Yes:
			return nil
		case answer == vote.No && v.certain && some:
			// Its holder released at the same time, and each of the two has ended it on some nodes. Release finds
			// no majority then, and says ErrNotHeld: somebody has to say that this was the end of the grant.
			return nil
		case answer == vote.No && v.certain: // it was released, or has run out, since
			return driver.ErrNotHeld
		}
	}
	// Nobody can say whether one of these was the end of a grant; but if none of them can have the key any
	// more, it is free.
	now, failed := b.look(ctx, key)
	switch {
	case failed == nil && !slices.ContainsFunc(now.maybe, func(id wire.ID) bool { return slices.Contains(v.maybe, id) }):
		return nil
	case err != nil:
		return err
	case failed != nil:
		return failed
	}
	return errUncertain
}

var errUncertain = fmt.Errorf("%w: too few nodes answer to tell who has the lock", driver.ErrUnavailable)

// evict ends one try on all nodes. It reports whether a majority had it, and whether some nodes had.
func (b *Backend) evict(ctx context.Context, key string, id wire.ID) (answer vote.Answer, some bool, err error) {
	w := b.calls.begin()
	defer b.calls.end(w)
	e := &ending{
		b: b, timeout: adminTimeout, signal: w.signal, poll: vote.NewPoll(len(b.nodes)), end: wire.End{Key: key, ID: id, Evict: true},
		until: time.Now().Add(keepOut),
	}
	e.send(0, vote.All(len(b.nodes)))
	answer, err = e.decide(ctx, w)
	e.mu.Lock()
	defer e.mu.Unlock()
	return answer, e.poll.Yes() != 0, err
}

// recheckState is whether an attempt is asked about, since a node has told of an eviction.
type recheckState struct {
	asking bool
	again  bool // another node has told meanwhile
}

// onEviction records that a node has ended the grant of an attempt, by an operator's decision. That
// is one node, and an old notice may be late, so it is asked whether a majority still has it. Each node
// tells when it ends the grant, so the last of these questions has the answer.
func (b *Backend) onEviction(attemptID string) {
	var list []*attempt
	b.registry.mu.Lock()
	for a := range b.registry.WithID(attemptID) {
		a.markEvicted()
		list = append(list, a)
	}
	b.registry.mu.Unlock()
	for _, a := range list {
		a.recheck(b)
	}
}

// markEvicted has the try that is under way come to nothing: its keys may have been ended before its last
// answer is in.
func (a *attempt) markEvicted() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.evictedEarly = true
}

// recheck asks whether a majority has the key of an attempt that holds, and tells the holder if it has not.
func (a *attempt) recheck(b *Backend) {
	a.mu.Lock()
	if !a.held || a.ending != nil || a.rechecking.asking {
		a.rechecking.again = a.rechecking.asking
		a.mu.Unlock()
		return
	}
	a.rechecking = recheckState{asking: true}
	v := &recheckPoll{b: b, a: a, id: a.id, poll: vote.NewPoll(len(b.nodes))}
	timeout := driver.RequestTimeout(a.TTL)
	a.mu.Unlock()
	var ask wire.Request = wire.Look{Key: a.Key}
	for i, n := range b.nodes {
		n.Send(b.closing, ask, timeout, func(reply any, err error) { v.onReply(i, reply, err) })
	}
}

// recheckPoll is such a question under way. The attempt's mutex guards it.
type recheckPoll struct {
	b    *Backend
	a    *attempt
	id   wire.ID
	poll vote.Poll
	over bool
}

func (v *recheckPoll) onReply(node int, reply any, err error) {
	a := v.a
	a.mu.Lock()
	r, ok := reply.(wire.LookReply)
	switch {
	case err != nil || !ok:
		v.poll.Silent(node)
	case r.Held && r.Holder.ID == v.id:
		v.poll.Told(node, wire.Done)
	default:
		v.poll.Told(node, wire.None)
	}
	answer := v.poll.Answer()
	if v.over || answer == vote.Undecided {
		a.mu.Unlock()
		return
	}
	v.over = true
	again := a.rechecking.again
	a.rechecking = recheckState{}
	a.mu.Unlock()
	switch {
	case answer == vote.No:
		if lost := v.b.registry.forget(a); lost != nil { // Release finds it by the grant's Handle
			lost(driver.ErrEvicted)
		}
	case again:
		a.recheck(v.b)
	}
}
