package etcd

// remembered is how many releases an owner stays out for. A call that was under
// way when its owner was released is late by far less.
const remembered = 8192

// released remembers the last owners that were released while a request of theirs
// might come late, so that it is refused.
type released struct {
	owners map[string]struct{}
	ring   []string // the same, oldest at next once the ring is full
	next   int
}

func (r *released) has(owner string) bool {
	_, ok := r.owners[owner]
	return ok
}

func (r *released) add(owner string) {
	if r.has(owner) {
		return
	}
	if r.owners == nil {
		r.owners = make(map[string]struct{})
	}
	r.owners[owner] = struct{}{}
	if len(r.ring) < remembered {
		r.ring = append(r.ring, owner)
		return
	}
	delete(r.owners, r.ring[r.next])
	r.ring[r.next] = owner
	r.next = (r.next + 1) % remembered
}
