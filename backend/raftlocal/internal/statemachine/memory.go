package statemachine

import (
	"maps"
	"slices"
)

// muchRoom is from how many claims on room that they have left is given back.
const muchRoom = 4096

// compactMaps gives back the memory of maps when most of what was in them has gone, since a map keeps
// its size for ever. So the past of a cluster costs nothing. It copies less than has been removed
// since the last time.
func (l *locks) compactMaps() {
	l.most = max(l.most, len(l.claims))
	if l.most < muchRoom || len(l.claims) > l.most/8 {
		return
	}
	l.most = len(l.claims)
	l.claims = smaller(l.claims)
	l.queues = smaller(l.queues)
	l.overdue = slices.Clip(slices.Clone(l.overdue))
}

// smaller returns a copy of a map that is no larger than it must be.
func smaller[K comparable, V any](m map[K]V) map[K]V {
	small := make(map[K]V, len(m))
	maps.Copy(small, m)
	return small
}

// freeList is memory of claims and queues that have ended, for the next: a lock that is taken and
// given back costs the collector of garbage nothing but its strings.
type freeList struct {
	claims []*claim
	queues []*queue
}

// maxFree is how many of each are kept.
const maxFree = 1024

func (s *freeList) claim() *claim {
	n := len(s.claims)
	if n == 0 {
		return &claim{}
	}
	c := s.claims[n-1]
	s.claims = s.claims[:n-1]
	return c
}

func (s *freeList) queue() *queue {
	n := len(s.queues)
	if n == 0 {
		return &queue{}
	}
	q := s.queues[n-1]
	s.queues = s.queues[:n-1]
	return q
}

func (s *freeList) keepClaim(c *claim) {
	*c = claim{}
	if len(s.claims) < maxFree {
		s.claims = append(s.claims, c)
	}
}

func (s *freeList) keepQueue(q *queue) {
	*q = queue{}
	if len(s.queues) < maxFree {
		s.queues = append(s.queues, q)
	}
}
