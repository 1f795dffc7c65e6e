package cluster

import (
	"cmp"
	"encoding/hex"
	"hash/fnv"
	"slices"
)

// Master is a node that has slots.
type Master struct {
	ID    string // "" while a redirection alone has told of it
	Addr  string
	Epoch uint64 // its config epoch
}

// slotMap says which master has which slot. It never changes: a new one takes its place.
type slotMap struct {
	masters  []Master     // in the order of their IDs
	owners   [Slots]int16 // places in masters; nobody for a slot that none has
	epoch    uint64       // the greatest of the masters'
	replicas []string     // their addresses
}

const nobody = -1

// owner is the master that has a slot; ok is false if none has.
func (m *slotMap) owner(slot int) (Master, bool) {
	if i := m.owners[slot]; i != nobody {
		return m.masters[i], true
	}
	return Master{}, false
}

// at is the master with an address.
func (m *slotMap) at(addr string) (Master, bool) {
	if i := m.place(addr); i >= 0 {
		return m.masters[i], true
	}
	return Master{}, false
}

func (m *slotMap) place(addr string) int {
	return slices.IndexFunc(m.masters, func(x Master) bool { return x.Addr == addr })
}

// addrs are those of the masters.
func (m *slotMap) addrs() []string {
	all := make([]string, len(m.masters))
	for i, x := range m.masters {
		all[i] = x.Addr
	}
	return all
}

// with is a map in which a slot is at an address, as a redirection has said.
func (m *slotMap) with(slot int, addr string) *slotMap {
	next := *m
	i := m.place(addr)
	if i < 0 {
		// Without an ID, and at the end: the places of the others stay the same.
		i = len(m.masters)
		next.masters = append(slices.Clone(m.masters), Master{Addr: addr})
	}
	next.owners[slot] = int16(i) //nolint:gosec // a Cluster has 16384 masters at the most
	return &next
}

// gone are the addresses of masters of m that are none any more in the next map. One of which only a redirection has told
// is not among them: it may be newer than what was asked. m may be nil.
func (m *slotMap) gone(next *slotMap) (addrs []string) {
	if m == nil {
		return nil
	}
	for _, x := range m.masters {
		if now, there := next.at(x.Addr); x.ID != "" && (!there || now.ID != x.ID) {
			addrs = append(addrs, x.Addr)
		}
	}
	return addrs
}

// missing is how many slots nobody has.
func (m *slotMap) missing() (n int) {
	for _, i := range m.owners {
		if i == nobody {
			n++
		}
	}
	return n
}

// size is how many masters have slots, as far as nodes have told.
func (m *slotMap) size() (n int) {
	for _, x := range m.masters {
		if x.ID != "" {
			n++
		}
	}
	return n
}

// same reports whether two maps are the same.
func (m *slotMap) same(other *slotMap) bool {
	return m.owners == other.owners && slices.Equal(m.masters, other.masters) && slices.Equal(m.replicas, other.replicas)
}

// stamp tells maps apart in which a slot has another master.
func (m *slotMap) stamp() string {
	h := fnv.New64a()
	var before int16 = nobody - 1
	for slot, i := range m.owners {
		if i == before {
			continue
		}
		before = i
		id := ""
		if i != nobody {
			id = cmp.Or(m.masters[i].ID, m.masters[i].Addr)
		}
		_, _ = h.Write([]byte{byte(slot >> 8), byte(slot)}) // it never fails
		_, _ = h.Write([]byte(id))
	}
	return hex.EncodeToString(h.Sum(nil))
}
