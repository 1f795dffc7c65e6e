package sim

import (
	"fmt"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/model"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/script"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/vote"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
)

// explorer goes through all states that can be reached from some.
type explorer struct {
	tables
	mutation *ruleMutation // nil: nothing is
	seen     seen
	stack    []state
	found    string // what is wrong, if something is

	grants, both, refused int
}

// wrong is a way to be wrong, for the exploration.
type ruleMutation struct {
	noWriteBack  bool // granted by round 1
	unchecked    bool // nodes write back also where another has the key
	anyNode      bool // each node that confirms counts, also one that took the key with a greater count
	countersLost bool // a restarted node begins with the counters that it has
	earlyRead    bool // its counters are raised to what a majority had when it was restarted
	earlyRepair  bool // a node is repaired when the token is chosen, and not yet granted
	atOnce       bool // it does not wait until the claims of then have ended
}

var frozen = time.UnixMilli(1e6)

// begin adds a state in which nobody has asked yet.
func (e *explorer) begin(counts [nodes]uint64, left budget) {
	s := state{left: left}
	for n, count := range counts {
		m := model.New()
		m.Counters[script.Shard(theKey)] = count
		s.node[n] = e.noteNode(m)
	}
	for c := range s.client {
		s.client[c].try = e.noteTry(vote.NewTry(nodes, false))
	}
	e.push(s)
}

func (e *explorer) push(s state) {
	if e.seen.add(s.pack()) {
		e.stack = append(e.stack, s)
	}
}

func (e *explorer) noteNode(m *model.Node) uint8 {
	c, held := m.Claims[theKey]
	n := e.node.number(nodeKey{m.Counters[script.Shard(theKey)], held, c.ID}, m)
	return uint8(n)
}

func (e *explorer) noteTry(t vote.Try) uint16 { return uint16(e.try.number(t, t)) }

// run goes on until all has been seen, or something is wrong.
func (e *explorer) run() {
	for len(e.stack) > 0 && e.found == "" {
		s := e.stack[len(e.stack)-1]
		e.stack = e.stack[:len(e.stack)-1]
		e.expand(&s)
	}
}

// do carries out a request on a node of a state.
func (e *explorer) do(s *state, n int, r wire.Request) any {
	m := e.node.values[s.node[n]].Snapshot()
	if w, ok := r.(wire.WriteBack); ok && e.mutation.is().unchecked {
		m.Raise(script.Shard(theKey), w.Token)
		s.node[n] = e.noteNode(m)
		return wire.Reply{Outcome: wire.Done}
	}
	reply, _ := m.Do(frozen, r)
	s.node[n] = e.noteNode(m)
	return reply
}

func (w *ruleMutation) is() ruleMutation {
	if w == nil {
		return ruleMutation{}
	}
	return *w
}

// expand pushes what can come after a state.
func (e *explorer) expand(s *state) {
	for n := range nodes {
		if m := e.node.values[s.node[n]]; s.left.vanish > 0 && len(m.Claims) > 0 {
			t := *s
			m = m.Snapshot()
			m.Vanish(theKey)
			t.node[n], t.left.vanish = e.noteNode(m), s.left.vanish-1
			e.push(t)
		}
		e.restart(s, n)
		for c := range clients {
			e.take(s, c, n)
			e.write(s, c, n)
			e.repair(s, c, n)
		}
	}
}

// take delivers a Take, or the answer to it.
func (e *explorer) take(s *state, c, n int) {
	t := *s
	me := &t.client[c]
	switch p := me.take[n]; {
	case p == unsent && !s.before[n]: // the request is on its way from the first
		if me.phase == idle {
			me.phase, me.after = trying, s.client[1-c].phase == granted
		}
		reply := e.do(&t, n, wire.Take{Key: theKey, ID: ids[c], TTL: time.Hour}).(wire.TakeReply)
		reply.Holder = wire.Holder{ID: reply.Holder.ID}
		if me.take[n] = done; me.phase == trying {
			me.take[n] = answer + packet(e.reply.number(reply, reply))
		}
		e.push(t)
	case p >= answer && me.phase == trying:
		me.take[n] = done
		reply := e.reply.values[p-answer]
		e.hear(&t, c, func(try *vote.Try) {
			if try.Token() != 0 && e.mutation.is().anyNode && reply.Count > try.Token() {
				reply.Count = try.Token() - 1
			}
			try.Took(n, reply.Outcome, reply.Count, reply.Holder.ID)
		})
	}
}

// write delivers a WriteBack, or the answer to it.
func (e *explorer) write(s *state, c, n int) {
	t := *s
	me := &t.client[c]
	switch p := me.write[n]; {
	case p == asked && !s.before[n]:
		token := e.try.values[me.try].Token()
		if me.phase == granted {
			token = uint64(me.token)
		}
		reply := e.do(&t, n, wire.WriteBack{Key: theKey, ID: ids[c], Token: token}).(wire.Reply)
		if me.write[n] = done; me.phase == trying {
			me.write[n] = answer + packet(reply.Outcome)
		}
		e.push(t)
	case p >= answer && me.phase == trying:
		me.write[n] = done
		e.hear(&t, c, func(try *vote.Try) { try.Wrote(n, wire.Outcome(p-answer)) })
	}
}

// repair sends a Repair, or delivers it. The real one is sent only after a renewal that a majority has
// confirmed; here a grant is enough, which is more than can happen.
func (e *explorer) repair(s *state, c, n int) {
	t := *s
	me := &t.client[c]
	switch p := me.repair[n]; {
	case p == unsent && s.left.repair > 0 && me.phase == granted:
		me.repair[n], t.left.repair = asked, s.left.repair-1
	case p == unsent && s.left.repair > 0 && e.mutation.is().earlyRepair && e.try.values[me.try].Token() != 0:
		me.repair[n], t.left.repair = asked, s.left.repair-1
	case p == asked && !s.before[n]:
		token := uint64(me.token)
		if me.phase != granted {
			token = e.try.values[me.try].Token()
		}
		e.do(&t, n, wire.Repair{Lease: wire.Lease{Key: theKey, ID: ids[c], TTL: time.Hour, Token: token}})
		me.repair[n] = done
	default:
		return
	}
	e.push(t)
}

// hear has a client learn something, and act on it.
func (e *explorer) hear(s *state, c int, what func(*vote.Try)) {
	me := &s.client[c]
	try := e.try.values[me.try]
	what(&try)
	writes := try.Writes()
	for n := range nodes {
		switch {
		case !writes.Has(n):
		case e.mutation.is().noWriteBack:
			try.Wrote(n, wire.Done)
		default:
			me.write[n] = asked
		}
	}
	e.settle(s, c, try)
}

// settle handles what has become of a try.
func (e *explorer) settle(s *state, c int, try vote.Try) {
	me := &s.client[c]
	me.try = e.noteTry(try)
	switch {
	case try.Verdict() == vote.Granted:
		me.phase, me.token, me.try = granted, uint8(try.Token()), 0
	case try.Failed():
		e.refused++
		return // there will not be two grants
	default:
		e.push(*s)
		return
	}
	e.grants++
	for n := range nodes { // no answer matters to it any more, but its requests may
		if me.take[n] >= answer {
			me.take[n] = done
		}
		if me.write[n] >= answer {
			me.write[n] = done
		}
	}
	other := &s.client[1-c]
	if other.phase != granted {
		e.push(*s)
		return
	}
	e.both++
	switch {
	case me.token == other.token:
		e.found = fmt.Sprintf("two grants with token %d", me.token)
	case me.after && me.token < other.token, other.after && other.token < me.token:
		e.found = fmt.Sprintf("the later grant has the lower token: %d and %d", me.token, other.token)
	}
}

// restart has a node lose its data, and come back.
func (e *explorer) restart(s *state, n int) {
	shard := script.Shard(theKey)
	counts := func(s *state) (most uint64) {
		for o := range nodes {
			if o != n {
				most = max(most, e.node.values[s.node[o]].Counters[shard])
			}
		}
		return most
	}
	if s.left.restart > 0 && !s.before[n] {
		t := *s
		empty := model.New()
		empty.Counters[shard] = 0
		t.node[n], t.before[n], t.left.restart = e.noteNode(empty), true, s.left.restart-1
		if e.mutation.is().earlyRead {
			t.read = uint8(counts(s))
		}
		e.push(t)
	}
	if !s.before[n] {
		return
	}
	for c := range clients { // their time is over before the node answers again
		if s.client[c].phase == trying && !e.mutation.is().atOnce {
			return
		}
	}
	t := *s
	m := e.node.values[s.node[n]].Snapshot()
	switch {
	case e.mutation.is().countersLost:
	case e.mutation.is().earlyRead:
		m.Raise(shard, uint64(s.read))
	default:
		m.Raise(shard, counts(s))
	}
	t.node[n], t.before[n], t.read = e.noteNode(m), false, 0
	e.push(t)
}
