package server

import (
	"container/list"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

const (
	// maxClients is the most clients and operators at once.
	maxClients = 20_000
	// maxStrangers is the most connections of those who have not said who they are.
	maxStrangers = 1024
	// leastStrangers is for a process that may have very few files open: fewer connections than
	// a handful of members and clients make at once would keep these out.
	leastStrangers = 16
)

// conns are the connections that are held. A process may have so many files and connections
// open, and whoever reaches the port can make some: so of these, strangers get an eighth and
// clients a half. The rest is for the log, for members, and for the application.
type conns struct {
	*self

	mu                 sync.Mutex
	closed             bool // no more
	clients, strangers int  // the most of each
	served             int  // clients
	all                map[net.Conn]*held
	unknown            list.List // strangers, the oldest first
	told               time.Time // when it was told that strangers are many
}

// held is what is known of a connection.
type held struct {
	lingers  bool          // see Stop
	client   bool          // it is served as one
	stranger *list.Element // its place among them, or nil
}

func (c *conns) begin(files uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = map[net.Conn]*held{}
	c.clients = int(min(maxClients, files/2))                          //nolint:gosec // small
	c.strangers = max(int(min(maxStrangers, files/8)), leastStrangers) //nolint:gosec // small
}

// hold notes a connection, so that it is closed when the server ends.
func (c *conns) hold(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.holdLocked(conn) != nil
}

func (c *conns) holdLocked(conn net.Conn) *held {
	if c.closed {
		return nil
	}
	h := &held{}
	c.all[conn] = h
	return h
}

// holdStranger notes a connection of somebody who has not said who it is. If there are too many, the
// one that has had most time for it is closed: who has something to say does so at once, and
// finds a place whatever the others do.
func (c *conns) holdStranger(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.holdLocked(conn)
	if h == nil {
		return false
	}
	h.stranger = c.unknown.PushBack(conn)
	if c.unknown.Len() <= c.strangers {
		return true
	}
	oldest := c.unknown.Front()
	c.acquainted(c.all[oldest.Value.(net.Conn)])
	_ = oldest.Value.(net.Conn).Close() // who serves it sees that, and drops it
	if time.Since(c.told) > tellAgain {
		c.told = time.Now()
		c.running.Go(func() {
			c.logger.Warn("many connections do not say who they are: the oldest are closed", "member", c.cfg.Member.Name, "most", c.strangers, "from", conn.RemoteAddr().String())
		})
	}
	return true
}

// acquainted takes a connection out of the strangers.
func (c *conns) acquainted(h *held) {
	if h.stranger != nil {
		c.unknown.Remove(h.stranger)
		h.stranger = nil
	}
}

// seat notes that somebody has said who they are. There is always room for a member.
func (c *conns) seat(conn net.Conn, role wire.Role) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.all[conn]
	switch {
	case h == nil || c.closed:
		return ErrStopped
	case role == wire.Client && c.served >= c.clients:
		return fmt.Errorf("this member has %d clients, "+wire.Full+": let the callers of a process share one, or raise the member's limit of open files (ulimit -n, LimitNOFILE=)", c.served)
	case role == wire.Client:
		h.client = true
		c.served++
	}
	c.acquainted(h)
	return nil
}

// drop closes a connection.
func (c *conns) drop(conn net.Conn) {
	c.mu.Lock()
	if h := c.all[conn]; h != nil {
		c.acquainted(h)
		if h.client {
			c.served--
		}
		delete(c.all, conn)
	}
	c.mu.Unlock()
	_ = conn.Close() // what was to be written was, or cannot be
}

// cutOff lets nobody in any more and closes connections: all, or those on which there is nothing
// more to say.
func (c *conns) cutOff(all bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for conn, h := range c.all {
		if all || !h.lingers {
			_ = conn.Close() // its user sees that
		}
	}
}

// linger lets a connection be until the last words are written on it.
func (c *conns) linger(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.all[conn]; h != nil {
		h.lingers = true
	}
}

// over reports whether nobody is let in any more.
func (c *conns) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}
