package servers

import (
	"maps"
	"slices"
	"sync"
)

// live are the servers that are still to be removed.
var live = registry{servers: map[*Server]bool{}}

type registry struct {
	mu      sync.Mutex
	servers map[*Server]bool
}

func (r *registry) add(s *Server) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.servers[s] = true
}

// drop reports whether the server was there: whoever drops it removes it.
func (r *registry) drop(s *Server) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.servers[s]
	delete(r.servers, s)
	return was
}

func (r *registry) all() []*Server {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.servers))
}
