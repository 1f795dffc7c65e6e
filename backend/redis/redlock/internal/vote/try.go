// Package vote has the rules by which the answers of N nodes become one: whether a try has the lock,
// whether a lease was kept, whether it was ended. They are pure. Nothing here sends, waits or
// reads a clock, and each value can be copied, so that a test can go through every order in which
// answers may come.
package vote

import (
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
)

// Verdict is what has become of a try.
type Verdict uint8

const (
	Open     Verdict = iota // not decided
	Granted                 // it has the lock, and its token
	Held                    // one other has the key on a majority
	Split                   // nobody has it there, and no missing answer has decided that
	NoQuorum                // a node that gave no answer might have made it succeed
	Ended                   // the attempt's claim was ended meanwhile
	GivenUp                 // by the caller
)

// Try is one try to take a key. A Take has been sent to each node, or will not be: say so by NotSent.
//
// # Token
//
// Round 1: the nodes that have taken the key for the try tell what their counters have become. When
// they are a majority, they are A, and the token is the greatest of these counts. Round 2: the
// others of A get the token written back, which raises their counters to it, where the key still
// has the try. W are the nodes of A whose counters were the token, or above, at a moment at which
// the key was the try's: those that have confirmed the write-back, and those that gave the greatest
// count, whose Take was that moment. The try is granted when W is a majority. Where the counters
// agree, as they do when the client knows the highest, that takes one round.
//
// A node that takes the key later joins A if its count is not above the token. It might as well have
// come before: the token would be the same. With a greater count it stays out.
//
// Why tokens rise: two grants of a key, 1 and 2, have a node in common, of both W1 and W2. There each
// try has the key once, without a break, from its Take until after the moment above: a Take is
// sent once, and nothing else sets a key before the grant. So one of the two spans came first, say
// that of 1. The Take of 2 found a counter of token 1 at least, and has made it greater; it
// is one of A2, so token 2 is not less than that. Clocks, expiry, eviction and pauses are not
// in the argument. It needs counters that never fall, and the same nodes for everyone.
type Try struct {
	nodes     uint8
	tokenless bool
	verdict   Verdict

	pending Set // their Take has no answer
	done    Set // took the key
	other   Set // another has it
	over    Set // refuse this try for good
	silent  Set // gave no answer, and may have taken the key, now or later
	unsent  Set // were not asked

	chosen  bool // the token is
	a, w    Set
	writing Set // asked to write back
	refused Set // did not write back: no answer

	toWrite, toEnd, toKeepOut Set // what the caller has to fetch

	token  uint64
	counts [MaxNodes]uint64
	holder [MaxNodes]wire.ID // of other
}

// NewTry is a try on n nodes.
func NewTry(n int, tokenless bool) Try {
	return Try{nodes: uint8(n), tokenless: tokenless, pending: All(n)} //nolint:gosec // at most Most
}

// Took records the answer to a Take. count is the counter, with Done; holder who has the key, with
// Other.
func (t *Try) Took(node int, o wire.Outcome, count uint64, holder wire.ID) {
	if !(t.pending | t.silent).Has(node) {
		return // it has answered
	}
	t.pending, t.silent = t.pending.Without(node), t.silent.Without(node)
	switch o {
	case wire.Done:
		t.done, t.counts[node] = t.done.With(node), count
		t.late(node)
	case wire.Ended:
		t.over = t.over.With(node)
	default:
		t.other, t.holder[node] = t.other.With(node), holder
	}
	t.settle()
}

// late is a node that took the key after all was decided, or only the token.
func (t *Try) late(node int) {
	switch count := t.counts[node]; {
	case t.Failed():
		t.toEnd = t.toEnd.With(node)
	case !t.chosen, count > t.token, t.tokenless:
	case t.verdict == Granted:
		if count < t.token { // it decides nothing any more; but it names the token to who asks, and counts on from there
			t.toWrite = t.toWrite.With(node)
		}
	default:
		t.join(node)
	}
}

// join makes a node one of A.
func (t *Try) join(node int) {
	t.a = t.a.With(node)
	if t.counts[node] == t.token {
		t.w = t.w.With(node)
	} else {
		t.toWrite = t.toWrite.With(node)
	}
}

// Silent records that the answer to a Take will not come, or is not waited for. If it comes all
// the same, Took takes it in.
func (t *Try) Silent(node int) {
	if !t.pending.Has(node) {
		return
	}
	t.pending, t.silent = t.pending.Without(node), t.silent.With(node)
	if t.Failed() {
		t.toKeepOut = t.toKeepOut.With(node)
	}
	t.settle()
}

// NotSent records that a node was not sent its Take, and will not be.
func (t *Try) NotSent(node int) {
	if !t.pending.Has(node) {
		return
	}
	t.pending, t.unsent = t.pending.Without(node), t.unsent.With(node)
	t.settle()
}

// Wrote records the answer to a WriteBack.
func (t *Try) Wrote(node int, o wire.Outcome) {
	if !t.writing.Has(node) {
		return
	}
	t.writing = t.writing.Without(node)
	if o == wire.Done {
		t.w = t.w.With(node)
	}
	t.settle()
}

// WriteSilent records that the answer to a WriteBack will not come.
func (t *Try) WriteSilent(node int) {
	if !t.writing.Has(node) {
		return
	}
	t.writing, t.refused = t.writing.Without(node), t.refused.With(node)
	t.settle()
}

// GiveUp fails the try, also one that is granted already, if nobody has been told.
func (t *Try) GiveUp() {
	if !t.Failed() {
		t.fail(GivenUp)
	}
}

// settle decides what can be decided.
func (t *Try) settle() {
	if t.verdict != Open {
		return
	}
	quorum := Quorum(int(t.nodes))
	if t.done.Len() >= quorum && !t.chosen {
		t.choose()
	}
	if t.chosen {
		switch {
		case t.w.Len() >= quorum:
			t.verdict = Granted
		case (t.w | t.writing | t.toWrite).Len() >= quorum: // may still come
		case (t.w | t.refused).Len() >= quorum:
			t.fail(NoQuorum)
		default:
			t.fail(Split)
		}
		return
	}
	done, pending, holder := t.done.Len(), t.pending.Len(), t.maxNamed()
	switch {
	case holder >= quorum:
		t.fail(Held)
	case done+pending >= quorum: // may still succeed
	case holder+pending >= quorum: // will not; but who has the key may still be told
	case t.over != 0:
		t.fail(Ended)
	case done+(t.silent|t.unsent).Len() >= quorum:
		t.fail(NoQuorum)
	default:
		t.fail(Split)
	}
}

// choose makes the nodes that have taken the key A, and their greatest count the token.
func (t *Try) choose() {
	t.chosen = true
	if t.tokenless {
		t.a, t.w = t.done, t.done
		return
	}
	for _, c := range t.counts {
		t.token = max(t.token, c)
	}
	for i := range int(t.nodes) {
		if t.done.Has(i) {
			t.join(i)
		}
	}
}

// fail ends the try. Where it has the key, that is to be ended; where it may have it, or may get it,
// that is to be ended too, and kept from coming true; where the answer is not there yet, it waits for
// that.
func (t *Try) fail(v Verdict) {
	t.verdict, t.toWrite, t.toEnd, t.toKeepOut = v, 0, t.done, t.silent
}

// maxNamed is how many nodes name the holder that most of them do.
func (t *Try) maxNamed() (most int) {
	_, most = t.Holder()
	return most
}

// Verdict is what has become of the try.
func (t *Try) Verdict() Verdict { return t.verdict }

// Failed reports whether the try is decided, and has not the lock.
func (t *Try) Failed() bool { return t.verdict > Granted }

// Token is the token of a try that is granted.
func (t *Try) Token() uint64 { return t.token }

// Writes returns the nodes that are to be sent a WriteBack of Token now: each once.
func (t *Try) Writes() Set {
	s := t.toWrite
	t.toWrite, t.writing = 0, t.writing|s
	return s
}

// Ends returns the nodes that are to be sent an End of a try that has failed now, each once: those that
// have the key, and those that must be told to keep the try out besides, since its Take may be on
// its way. More may come as long as Unknown is not empty.
func (t *Try) Ends() (plain, keepOut Set) {
	plain, keepOut = t.toEnd, t.toKeepOut
	t.toEnd, t.toKeepOut = 0, 0
	return plain, keepOut
}

// Pending are the nodes whose Take has no answer.
func (t *Try) Pending() Set { return t.pending }

// Unanswered are the nodes whose answers will not come: of those that may have taken the key, now or
// later, and of those that were not asked.
func (t *Try) Unanswered() (silent, unsent Set) { return t.silent, t.unsent }

// Answered are the nodes that have taken the key, those on which another has it, and those that
// refuse the try for good.
func (t *Try) Answered() (done, other, over Set) { return t.done, t.other, t.over }

// Confirmed are the nodes of W.
func (t *Try) Confirmed() Set { return t.w }

// Holder is one of the nodes that name the holder that most do, and how many they are: -1 and zero
// if none names one.
func (t *Try) Holder() (node, most int) {
	node = -1
	for i := range int(t.nodes) {
		if !t.other.Has(i) {
			continue
		}
		n := 0
		for j := range int(t.nodes) {
			if t.other.Has(j) && t.holder[j] == t.holder[i] {
				n++
			}
		}
		if n > most {
			node, most = i, n
		}
	}
	return node, most
}
