package statemachine

// deadlines is a heap of those who have a deadline, each with a number of its own; the first is
// the one whose deadline, and then number, is the least. Which order the others have depends on
// the past, so nobody may look at it.
type deadlines []deadline

type deadline struct {
	at     int64
	number uint64
	place  *int // where it is in the heap, kept by whoever has the deadline
}

func (d deadline) before(o deadline) bool {
	return d.at < o.at || d.at == o.at && d.number < o.number
}

// first returns the earliest deadline.
func (h deadlines) first() (at int64, ok bool) {
	if len(h) == 0 {
		return 0, false
	}
	return h[0].at, true
}

// due returns the number of the first whose deadline has come.
func (h deadlines) due(now int64) (number uint64, ok bool) {
	if len(h) == 0 || h[0].at > now {
		return 0, false
	}
	return h[0].number, true
}

func (h *deadlines) add(at int64, number uint64, place *int) {
	*h = append(*h, deadline{at, number, place})
	h.up(len(*h) - 1)
}

// move gives a later deadline, or the same, to the one in a place. It is never an earlier one,
// since the clock does not go back and a TTL does not change.
func (h deadlines) move(place int, at int64) {
	if h[place].at != at {
		h[place].at = at
		h.down(place)
	}
}

func (h *deadlines) remove(place int) {
	last := len(*h) - 1
	moved := (*h)[last]
	(*h)[last] = deadline{}
	*h = (*h)[:last]
	if place == last {
		return
	}
	h.put(place, moved)
	h.down(place)
	h.up(*moved.place)
}

func (h deadlines) put(place int, d deadline) {
	h[place] = d
	*d.place = place
}

func (h deadlines) up(place int) {
	d := h[place]
	for place > 0 {
		parent := (place - 1) / 2
		if !d.before(h[parent]) {
			break
		}
		h.put(place, h[parent])
		place = parent
	}
	h.put(place, d)
}

func (h deadlines) down(place int) {
	d := h[place]
	for {
		child := 2*place + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1].before(h[child]) {
			child++
		}
		if !h[child].before(d) {
			break
		}
		h.put(place, h[child])
		place = child
	}
	h.put(place, d)
}
