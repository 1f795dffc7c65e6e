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
	masters  []Master      // in the order of their IDs
	owners   [Slots]int16  // places in masters; nobody for a slot that none has
	epoch    uint64        // the greatest of the masters'
	replicas []string      // their addresses
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
	i := slices.IndexFunc(m.masters, func(x Master) bool { return x.Addr == addr })
	if i < 0 {
		return Master{}, false
	}
	return m.masters[i], true
}

// with is a map in which a slot is at an address, as a redirection has said.
func (m *slotMap) with(slot int, addr string) *slotMap {
	next := *m
	i := slices.IndexFunc(m.masters, func(x Master) bool { return x.Addr == addr })
	if i < 0 {
		// Without an ID, and at the end: the places of the others stay the same.
		i = len(m.masters)
		next.masters = append(slices.Clone(m.masters), Master{Addr: addr})
	}
	next.owners[slot] = int16(i) //nolint:gosec // a Cluster has 16384 masters at the most
	return &next
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

// has reports whether everything that m gives to a master, by its ID, is that node's in v, too.
func (v *view) has(m *slotMap, id string) bool {
	for slot, i := range m.owners {
		if i != nobody && m.masters[i].ID == id && v.ownerID(slot) != id {
			return false
		}
	}
	return true
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
		_, _ = h.Write([]byte{byte(slot >> 8), byte(slot)})
		_, _ = h.Write([]byte(id))
	}
	return hex.EncodeToString(h.Sum(nil))
}
