package zookeeper

import "sync"

// hosts chooses the server for each connection: one after the other. Names are
// looked up for each connection anew, by the dialer. go-zookeeper's own provider
// looks them up once, and with a single server waits a second before it connects
// again.
type hosts struct {
	link *link

	mu     sync.Mutex
	list   []string
	next   int
	failed int // attempts since the last that succeeded
}

func (h *hosts) Init(servers []string) error {
	h.list = servers
	return nil
}

func (h *hosts) Len() int { return len(h.list) }

// Next returns the next server. With pause, go-zookeeper first fails what has not
// been sent, and waits for a second, or until it is closed: each time that all
// servers were in vain, and always once no connection is wanted any more.
func (h *hosts) Next() (server string, pause bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	server = h.list[h.next%len(h.list)]
	h.next++
	h.failed++
	pause = h.failed > 1 && (h.failed-1)%len(h.list) == 0
	return server, pause || h.link.isRefused()
}

// exhausted reports whether all servers were in vain since the last that was not.
func (h *hosts) exhausted() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failed > len(h.list)
}

func (h *hosts) Connected() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failed = 0
}
