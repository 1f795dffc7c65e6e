package cluster

import (
	"slices"
	"time"
)

// The pauses between two looks at the map while somebody wants a new one.
const (
	leastLook = 20 * time.Millisecond
	mostLook  = 250 * time.Millisecond
)

// keepMap asks for the map whenever somebody wants that, but not more often than every quarter of a second if it
// stays as it is.
func (c *Cluster) keepMap() {
	pause := leastLook
	for {
		quiet := time.Now()
		select {
		case <-c.wanted:
		case <-c.closing.Done():
			return
		}
		before := c.slots.Load()
		if time.Since(quiet) > 2*mostLook {
			pause = leastLook
		}
		c.look()
		if c.slots.Load() != before {
			pause = leastLook
		}
		select {
		case <-time.After(jitter(pause)):
		case <-c.closing.Done():
			return
		}
		pause = min(2*pause, mostLook)
	}
}

// look asks one master what it knows, and for the map only if that is something new. If it does not answer, or the map
// has what only a redirection has told, several are asked.
func (c *Cluster) look() {
	m := c.slots.Load()
	if !slices.ContainsFunc(m.masters, func(x Master) bool { return x.ID == "" }) {
		if v, err := c.tell(c.closing, c.someMaster("")); err == nil && !v.news(m) {
			return
		}
	}
	_ = c.Refresh(c.closing) // who wants the map meets the same
}

// news reports whether a view has slots elsewhere than a map, and is not older.
func (v *view) news(m *slotMap) bool {
	if v.epoch() < m.epoch {
		return false
	}
	for slot, i := range m.owners {
		id := ""
		if i != nobody {
			id = m.masters[i].ID
		}
		if v.ownerID(slot) != id {
			return true
		}
	}
	return false
}
