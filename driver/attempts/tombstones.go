package attempts

// MaxTombstones is the number of later tombstones during which a released attempt stays out. A call that was
// under way when its attempt was released is late by far less.
const MaxTombstones = 8192

// Tombstones remembers the last attempts that were released, so that a late call of one of them is refused.
// ID names an attempt: by itself, or together with a key. The zero value is empty. It is not safe for
// concurrent use.
type Tombstones[ID comparable] struct {
	ids  map[ID]struct{}
	ring []ID // the same, oldest at next once the ring is full
	next int
}

// Has reports whether an attempt was released.
func (r *Tombstones[ID]) Has(id ID) bool {
	_, ok := r.ids[id]
	return ok
}

// Add notes that an attempt was released.
func (r *Tombstones[ID]) Add(id ID) {
	if r.Has(id) {
		return
	}
	if r.ids == nil {
		r.ids = make(map[ID]struct{})
	}
	r.ids[id] = struct{}{}
	if len(r.ring) < MaxTombstones {
		r.ring = append(r.ring, id)
		return
	}
	delete(r.ids, r.ring[r.next])
	r.ring[r.next] = id
	r.next = (r.next + 1) % MaxTombstones
}
