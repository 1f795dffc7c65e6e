package sim

import (
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// committedLog is the log that was committed, as the first member to apply each entry saw it. All
// others, later ones and restarted ones, must see the same: an entry that was applied
// anywhere is never lost, and has one outcome.
type committedLog struct {
	fail    func(format string, args ...any)
	model   *model        // nil: it is not known what is right, only that all must say the same
	records []entryRecord // by index; those of indices that no member has applied are zero
	stamps  int64         // the greatest in the log
	keys    map[string]*keyHistory
}

// entryRecord is what is known of an entry.
type entryRecord struct {
	known   bool
	term    uint64
	entry   uint64        // hash of what it holds
	outcome uint64        // hash of what it answered
	state   uint64        // hash of the state after it, if a member has told it
	at      time.Duration // when the first member had applied it
}

// keyHistory is how a key stood, from when.
type keyHistory struct {
	key      string
	versions []version
}

type version struct {
	index     uint64 // of the entry since which it stands so
	attemptID string
	token     uint64
	waiters   int
}

// applied is when a member has applied an entry. It reports whether none had before.
func (t *committedLog) applied(who string, at time.Duration, index, term uint64, b command.Batch, answers []command.Answer, pushes []command.Push) (first bool) {
	now := entryRecord{known: true, term: term, entry: hashBatch(b), outcome: hashOutcome(answers, pushes), at: at}
	before := t.entryRecord(index)
	if before.known {
		if before.term != term || before.entry != now.entry {
			t.fail("log matching: %s has applied another entry %d (term %d) than was applied before (term %d, at %v)", who, index, term, before.term, before.at)
		} else if before.outcome != now.outcome {
			t.fail("%s has another outcome of entry %d: %+v %+v", who, index, answers, pushes)
		}
		before.at = min(before.at, at)
		return false
	}
	if index > firstEntry && !t.entryRecord(index-1).known {
		t.fail("%s has applied entry %d, and nobody the one before", who, index)
	}
	*t.entryRecord(index) = now
	if b.Stamp != 0 && b.Stamp < t.stamps {
		t.fail("index %d: the stamp %v is before the clock %v", index, time.Duration(b.Stamp), time.Duration(t.stamps))
	}
	t.stamps = max(t.stamps, b.Stamp)
	if t.model != nil {
		t.model.apply(index, b, answers, pushes)
	}
	return true
}

// firstEntry is the index of the first entry of a cluster: its initial members make a snapshot, at the
// one before.
const firstEntry = 2

func (t *committedLog) entryRecord(index uint64) *entryRecord {
	for uint64(len(t.records)) <= index {
		t.records = append(t.records, entryRecord{})
	}
	return &t.records[index]
}

// state is when a member tells a hash of its whole state at an index.
func (t *committedLog) state(who string, index, hash uint64) {
	f := t.entryRecord(index)
	if f.state != 0 && f.state != hash {
		t.fail("%s is in another state after entry %d than another was", who, index)
	}
	f.state = hash
}

// last is the index of the last entry that was applied anywhere.
func (t *committedLog) last() uint64 { return uint64(max(len(t.records), 1)) - 1 }

// write keeps the history of all keys: an expiry may have changed any. Within one entry a
// key may stand in several ways, one after the other.
func (t *committedLog) write(index uint64) {
	for _, q := range t.model.queues {
		c := t.keys[q.key]
		if c == nil {
			c = &keyHistory{key: q.key, versions: []version{{}}}
			t.keys[q.key] = c
		}
		v := version{index: index}
		if len(q.claims) > 0 {
			v.attemptID, v.token, v.waiters = q.claims[0].attemptID, q.claims[0].token, len(q.claims)-1
		}
		last := c.versions[len(c.versions)-1]
		if last.attemptID != v.attemptID || last.token != v.token || last.waiters != v.waiters {
			c.versions = append(c.versions, v)
		}
	}
}

// attempts are those who have held a key, the last one last.
func (t *committedLog) attempts(key string) (all []string) {
	if c := t.keys[key]; c != nil {
		for _, v := range c.versions {
			if v.attemptID != "" {
				all = append(all, v.attemptID)
			}
		}
	}
	return all
}

// possible reports whether a key stood, at some moment since an answer was asked for, as a
// predicate says. What was applied before it was asked for must show in the answer.
func (t *committedLog) possible(key string, asked time.Duration, stood func(version) bool) bool {
	if t.model == nil {
		return true
	}
	c := t.keys[key]
	if c == nil {
		return stood(version{})
	}
	for i := len(c.versions) - 1; i >= 0; i-- {
		if stood(c.versions[i]) {
			return true
		}
		if t.records[c.versions[i].index].at < asked {
			return false
		}
	}
	return false
}

func hashBatch(b command.Batch) uint64 {
	h := hasher(14695981039346656037)
	h.add(uint64(b.Stamp))
	for i := range b.Commands {
		c := &b.Commands[i]
		h.add(c.Session, c.Seq, c.Lowest, uint64(c.Op), uint64(c.TTL), bit(c.Wait))
		h.text(string(c.ID[:]), c.Key, c.AttemptID, c.Meta)
		h.add(c.Claims...)
	}
	return uint64(h)
}

func hashOutcome(answers []command.Answer, pushes []command.Push) uint64 {
	h := hasher(14695981039346656037)
	for i := range answers {
		a := &answers[i]
		h.add(a.Session, a.Seq, uint64(a.Reply.Code), a.Reply.Number, a.Reply.Token)
		h.text(string(a.ID[:]))
		for _, c := range a.Reply.Claims {
			h.add(c.Number, uint64(c.Code), c.Token)
		}
	}
	for _, p := range pushes {
		h.add(p.Session, p.Claim.Number, uint64(p.Claim.Code), p.Claim.Token)
	}
	return uint64(h)
}

type hasher uint64

func (h *hasher) add(parts ...uint64) {
	for _, p := range parts {
		*h = (*h ^ hasher(p)) * 1099511628211
		*h ^= *h >> 29
	}
}

func (h *hasher) text(parts ...string) {
	for _, p := range parts {
		h.add(uint64(len(p)))
		for i := range len(p) {
			*h = (*h ^ hasher(p[i])) * 1099511628211
		}
	}
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
