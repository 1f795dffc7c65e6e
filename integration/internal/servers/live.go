package servers

import (
	"maps"
	"slices"
	"sync"
)

// live are the servers that are still to be removed, each with the others of its
// cluster.
var live = registry{clusters: map[*Cluster]bool{}}

type registry struct {
	mu       sync.Mutex
	clusters map[*Cluster]bool
}

func (r *registry) add(c *Cluster) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clusters[c] = true
}

// drop reports whether the cluster was there: whoever drops it removes it.
func (r *registry) drop(c *Cluster) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.clusters[c]
	delete(r.clusters, c)
	return was
}

func (r *registry) all() []*Cluster {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.clusters))
}
