package zookeeper

import (
	"errors"
	"time"

	"github.com/go-zookeeper/zk"
)

// bequeath is what Close leaves behind on an application's connection. Its session
// lives on, and with it each claim that was not released. So a timer deletes each grant
// when its lease is over, as the keeper would have done, and all else now. A timer costs
// no goroutine until then.
func (s *session) bequeath() {
	b := s.backend
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range s.claims {
		due := time.Now()
		if c.phase == held {
			due = c.ends()
		}
		node := c.node
		time.AfterFunc(time.Until(due), func() { s.deleteLate(c, node) })
	}
}

// deleteLate deletes a claim's nodes, and tries again while the session lives.
func (s *session) deleteLate(c *claim, node string) {
	if s.conn.SessionID() != s.id {
		return
	}
	var err error
	names := []nodeName{{text: node}}
	if node == "" { // its create may have been carried out
		if _, err = s.conn.Sync(s.backend.root); err == nil {
			var children []string
			children, err = list(s.conn, c.parent)
			names = owned(children, c.owner)
		}
	}
	for _, n := range names {
		if err == nil {
			err = s.conn.Delete(c.parent+"/"+n.text, -1)
		}
	}
	if err != nil && !answered(err) && !errors.Is(err, zk.ErrClosing) {
		time.AfterFunc(again, func() { s.deleteLate(c, node) })
	}
}
