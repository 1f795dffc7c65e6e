package statemachine

// queue is the claims of a key, in the order in which they came. It is never empty while it
// is known by its key.
type queue struct {
	key         string
	first, last *claim
	length      int
	attempts    map[string]*claim // once it is long; nil before. Its order shows nowhere
}

// A queue has an index of its attempts from longQueue claims on, and loses it below shortQueue:
// until then looking at each is as fast, and most queues are short.
const (
	longQueue  = 16
	shortQueue = 8
)

// find returns the claim of an attempt, or nil.
func (q *queue) find(attemptID string) *claim {
	if q.attempts != nil {
		return q.attempts[attemptID]
	}
	for c := q.first; c != nil; c = c.next {
		if c.attemptID == attemptID {
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
	case q.attempts != nil:
		q.attempts[c.attemptID] = c
	case q.length >= longQueue:
		q.attempts = make(map[string]*claim, 2*longQueue)
		for c := q.first; c != nil; c = c.next {
			q.attempts[c.attemptID] = c
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
	if q.attempts != nil {
		delete(q.attempts, c.attemptID)
		if q.length < shortQueue {
			q.attempts = nil
		}
	}
}

// queueLengths is how many queues there are of each length, so that the longest is known at any
// time. No trailing element is zero.
type queueLengths []int

// change notes that a queue has another length, by one more or less; 0 is none.
func (l *queueLengths) change(from, to int) {
	if to > 0 {
		for len(*l) <= to {
			*l = append(*l, 0)
		}
		(*l)[to]++
	}
	if from > 0 {
		(*l)[from]--
	}
	for n := len(*l); n > 0 && (*l)[n-1] == 0; n-- {
		*l = (*l)[:n-1]
	}
}

// longest returns the length of the longest queue.
func (l queueLengths) longest() int { return max(len(l), 1) - 1 }
