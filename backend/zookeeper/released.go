package zookeeper

// remembered is how many releases an owner stays out for. A call that was under
// way when its owner was released is late by far less.
const remembered = 8192

// claimID names a claim: an owner may be released on one key and not another.
type claimID struct{ key, owner string }

// released remembers the last attempts that were released before all their calls
// had ended, so that a late call in the name of one of them is refused.
type released struct {
	ids  map[claimID]struct{}
	ring []claimID // the same, oldest at next once the ring is full
	next int
}

func (r *released) has(id claimID) bool {
	_, ok := r.ids[id]
	return ok
}

func (r *released) add(id claimID) {
	if r.has(id) {
		return
	}
	if r.ids == nil {
		r.ids = make(map[claimID]struct{})
	}
	r.ids[id] = struct{}{}
	if len(r.ring) < remembered {
		r.ring = append(r.ring, id)
		return
	}
	delete(r.ids, r.ring[r.next])
	r.ring[r.next] = id
	r.next = (r.next + 1) % remembered
}
