package statemachine

// queue is the claims of a key, in the order in which they came. It is never empty while it
// is known by its key.
type queue struct {
	key         string
	first, last *claim
	length      int
	owners      map[string]*claim // once it is long; nil before. Its order shows nowhere
}

// A queue has an index of its owners from longQueue claims on, and loses it below shortQueue:
// until then looking at each is as fast, and most queues are short.
const (
	longQueue  = 16
	shortQueue = 8
)

// find returns the claim of an owner, or nil.
func (q *queue) find(owner string) *claim {
	if q.owners != nil {
		return q.owners[owner]
	}
	for c := q.first; c != nil; c = c.next {
		if c.owner == owner {
			return c
		}
	}
	return nil
}

func (q *queue) push(c *claim) {
	c.queue, c.prev, c.next = q, q.last, nil
	if q.last != nil {
		q.last.next = c
	} else {
		q.first = c
	}
	q.last = c
	q.length++
	switch {
	case q.owners != nil:
		q.owners[c.owner] = c
	case q.length >= longQueue:
		q.owners = make(map[string]*claim, 2*longQueue)
		for c := q.first; c != nil; c = c.next {
			q.owners[c.owner] = c
		}
	}
}

func (q *queue) remove(c *claim) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		q.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		q.last = c.prev
	}
	c.queue, c.prev, c.next = nil, nil, nil
	q.length--
	if q.owners != nil {
		delete(q.owners, c.owner)
		if q.length < shortQueue {
			q.owners = nil
		}
	}
}
