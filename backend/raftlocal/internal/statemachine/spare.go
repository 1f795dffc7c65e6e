package statemachine

// spare is memory of claims and queues that have ended, for the next: a lock that is taken and
// given back costs the collector of garbage nothing but its strings.
type spare struct {
	claims []*claim
	queues []*queue
}

// maxSpare is how many of each are kept.
const maxSpare = 1024

func (s *spare) claim() *claim {
	n := len(s.claims)
	if n == 0 {
		return &claim{}
	}
	c := s.claims[n-1]
	s.claims = s.claims[:n-1]
	return c
}

func (s *spare) queue() *queue {
	n := len(s.queues)
	if n == 0 {
		return &queue{}
	}
	q := s.queues[n-1]
	s.queues = s.queues[:n-1]
	return q
}

func (s *spare) keepClaim(c *claim) {
	*c = claim{}
	if len(s.claims) < maxSpare {
		s.claims = append(s.claims, c)
	}
}

func (s *spare) keepQueue(q *queue) {
	*q = queue{}
	if len(s.queues) < maxSpare {
		s.queues = append(s.queues, q)
	}
}
