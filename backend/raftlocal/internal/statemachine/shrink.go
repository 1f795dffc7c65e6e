package statemachine

import (
	"maps"
	"slices"
)

// muchRoom is from how many claims on room that they have left is given back.
const muchRoom = 4096

// shrink gives back the memory of maps when most of what was in them has gone, since a map keeps
// its size for ever. So the past of a cluster costs nothing. It copies less than has been removed
// since the last time.
func (m *Machine) shrink() {
	m.most = max(m.most, len(m.claims))
	if m.most < muchRoom || len(m.claims) > m.most/8 {
		return
	}
	m.most = len(m.claims)
	m.claims = smaller(m.claims)
	m.queues = smaller(m.queues)
	m.overdue = slices.Clip(slices.Clone(m.overdue))
}

// smaller returns a copy of a map that is no larger than it must be.
func smaller[K comparable, V any](m map[K]V) map[K]V {
	small := make(map[K]V, len(m))
	maps.Copy(small, m)
	return small
}
