package statemachine

import (
	"cmp"
	"slices"
)

// Member is a member of the cluster, as it stands in the address book. The machine only
// keeps the book, so that it is in every snapshot.
type Member struct {
	ID         uint64
	Name, Addr string
}

// ApplyMembers takes in the address book as it is after the entry of an index.
func (m *Machine) ApplyMembers(_ uint64, members []Member) { m.setMembers(members) }

// Members returns the address book, by id. It must not be changed.
func (m *Machine) Members() []Member { return m.members }

func (m *Machine) setMembers(members []Member) {
	m.members = slices.SortedFunc(slices.Values(members), func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
}
