package statemachine

// lengths is how many queues there are of each length, so that the longest is known at any
// time. No trailing element is zero.
type lengths []int

// change notes that a queue has another length, by one more or less; 0 is none.
func (l *lengths) change(from, to int) {
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
func (l lengths) longest() int { return max(len(l), 1) - 1 }
