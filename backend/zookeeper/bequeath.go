package zookeeper

import (
	"errors"
	"time"

	"github.com/go-zookeeper/zk"
)

// deleteAfterClose is what Close leaves behind on an application's connection. Its session
// lives on, and with it each claim that was not released. So a timer deletes each grant
// when its lease is over, as the keeper would have done, and all else now. A timer costs
// no goroutine until then.
func (s *session) deleteAfterClose() {
	b := s.backend
	b.mu.Lock()
	defer b.mu.Unlock()
	for a := range s.attempts {
		due := time.Now()
		if a.phase == held {
			due = a.ends()
		}
		node := a.node
		time.AfterFunc(time.Until(due), func() { s.deleteLate(a, node) })
	}
}

// deleteLate deletes a claim's nodes, and tries again while the session lives.
func (s *session) deleteLate(a *attempt, node string) {
	if s.conn.SessionID() != s.id {
		return
	}
	var err error
	names := []nodeName{{text: node}}
	if node == "" { // its create may have been carried out
		if _, err = s.conn.Sync(s.backend.root); err == nil {
			var children []string
			children, err = list(s.conn, a.parent)
			names = owned(children, a.attemptID)
		}
	}
	for _, n := range names {
		if err == nil {
			err = s.conn.Delete(a.parent+"/"+n.text, -1)
		}
	}
	if err != nil && !answered(err) && !errors.Is(err, zk.ErrClosing) {
		time.AfterFunc(retryPause, func() { s.deleteLate(a, node) })
	}
}
