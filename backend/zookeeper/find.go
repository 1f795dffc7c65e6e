package zookeeper

import (
	"errors"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver"
)

// find looks for a node of the claim whose create was not answered. "" says that
// there is none and will be none: see barriers. A connection that breaks between
// create and list is how locks that nobody holds come about (samuel/go-zookeeper#229).
func (b *backend) find(a *attempt) (string, error) {
	s := a.session
	if err := s.barrier(b.closing, driver.RequestTimeout(a.ttl)); err != nil {
		return "", err
	}
	children, err := list(s.conn, a.parent)
	if err != nil {
		return "", err
	}
	for _, n := range owned(children, a.attemptID) {
		switch err := b.verifyNode(a, a.parent+"/"+n.text); {
		case err == nil:
			return n.text, nil
		case !errors.Is(err, zk.ErrNoNode): // else it is of a session that is dying, or dead
			return "", err
		}
	}
	return "", nil
}

// deleteStrayNodes deletes the nodes of a claim whose session has expired on an application's
// connection. That goes on with another session, and carries out there what was still
// queued: a create too, whose node would then live for as long as the application does.
func (b *backend) deleteStrayNodes(a *attempt) {
	conn := a.session.conn
	for {
		_, err := conn.Sync(b.root)
		var children []string
		if err == nil {
			children, err = list(conn, a.parent)
		}
		for _, n := range owned(children, a.attemptID) {
			if e := conn.Delete(a.parent+"/"+n.text, -1); e != nil && !errors.Is(e, zk.ErrNoNode) {
				err = e
			}
		}
		if err == nil || isLasting(err) {
			return
		}
		select {
		case <-time.After(retryPause):
		case <-b.closing.Done():
			return
		}
	}
}
