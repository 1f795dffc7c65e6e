package sim

import (
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/model"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/vote"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
)

// An exploration has two clients, with a try each, on three nodes.
const (
	nodes   = 3
	clients = 2
	theKey  = "k"
)

var ids = [clients]wire.ID{{AttemptID: "a", Try: 1}, {AttemptID: "b", Try: 1}}

// state is all that there is at one moment. What is on its way may arrive at any time, in any order, or never.
// Parts of it are numbers in tables, so that millions of states fit into memory.
type state struct {
	node   [nodes]uint8
	client [clients]claimant

	left   budget      // of what may still go wrong
	before [nodes]bool // a node that has been restarted does not answer yet
	read   uint8       // the counters' maximum, of a mutant that reads it too early
}

// budget is how often keys may vanish, nodes be restarted without their data, and grants be repaired.
type budget struct{ vanish, restart, repair uint8 }

// claimant is a client with its one try.
type claimant struct {
	try         uint16 // while it is open
	phase       phase
	token       uint8 // once it is granted
	after       bool  // the other had been granted when this one began
	take, write [nodes]packet
	repair      [nodes]packet
}

type phase uint8

const (
	idle phase = iota
	trying
	granted
	failed
)

// packet is a request and its answer.
type packet uint8

const (
	unsent packet = iota
	asked         // the request is on its way
	done          // the answer has come, or does not matter any more
	answer        // and more: the answer with this number is on its way
)

// table gives values small numbers.
type table[K comparable, V any] struct {
	numbers map[K]int
	values  []V
}

func (t *table[K, V]) number(k K, v V) int {
	n, ok := t.numbers[k]
	if !ok {
		if t.numbers == nil {
			t.numbers = map[K]int{}
		}
		n = len(t.values)
		t.numbers[k] = n
		t.values = append(t.values, v)
	}
	return n
}

// nodeKey is what a step can see of a node: there is one key, and time stands still. The token in
// its record is seen by renewals only, and there are none.
type nodeKey struct {
	count uint64
	held  bool
	id    wire.ID
}

// tables have the parts of states by their numbers.
type tables struct {
	node  table[nodeKey, *model.Node]
	try   table[vote.Try, vote.Try]
	reply table[wire.TakeReply, wire.TakeReply]
}

// pack makes 192 bits of a state, of which no two states have the same.
func (s *state) pack() (p [3]uint64) {
	word, used := 0, 0
	put := func(v, bits int) {
		if v >= 1<<bits {
			panic("a part of a state is too great")
		}
		if used+bits > 64 {
			word, used = word+1, 0
		}
		p[word] |= uint64(v) << used
		used += bits
	}
	flag := func(b bool) {
		v := 0
		if b {
			v = 1
		}
		put(v, 1)
	}
	for i := range s.client {
		c := &s.client[i]
		put(int(c.try), 15)
		put(int(c.phase), 2)
		flag(c.after)
		put(int(c.token), 4)
		for n := range nodes {
			put(int(c.take[n]), 5)
		}
	}
	for i := range s.client {
		for n := range nodes {
			put(int(s.client[i].write[n]), 3)
			put(int(s.client[i].repair[n]), 2)
		}
	}
	for n := range nodes {
		put(int(s.node[n]), 6)
		flag(s.before[n])
	}
	put(int(s.left.vanish), 3)
	put(int(s.left.restart), 1)
	put(int(s.left.repair), 2)
	put(int(s.read), 4)
	return p
}

// seen is a set of packed states.
type seen struct {
	slots [][3]uint64 // zero is free: no state is packed to that
	n     int
}

func (s *seen) add(p [3]uint64) bool {
	if s.n*4 >= len(s.slots)*3 {
		old := s.slots
		s.slots = make([][3]uint64, max(1<<12, 2*len(old)))
		for _, q := range old {
			if q != ([3]uint64{}) {
				s.slots[s.find(q)] = q
			}
		}
	}
	i := s.find(p)
	if s.slots[i] == p {
		return false
	}
	s.slots[i] = p
	s.n++
	return true
}

// find is where p is, or where there is room for it.
func (s *seen) find(p [3]uint64) int {
	h := (p[0]*0x9e3779b97f4a7c15 ^ p[1]*0xc2b2ae3d27d4eb4f ^ p[2]) * 0xd6e8feb86659fd93
	h ^= h >> 32
	mask := len(s.slots) - 1
	for i := int(h) & mask; ; i = (i + 1) & mask {
		if s.slots[i] == p || s.slots[i] == ([3]uint64{}) {
			return i
		}
	}
}
