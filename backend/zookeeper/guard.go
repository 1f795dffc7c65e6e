package zookeeper

import (
	"errors"
	"strconv"

	"github.com/go-zookeeper/zk"
)

// guardName is a node that keeps earlier builds out of a lock whose numbers are beyond
// the range, until its node is made anew.
//
// Earlier builds compare numbers as if they wrapped, so that there they may take
// themselves for the first beside a holder. To them the guard is a claim whose number is
// before all that are beyond: who looks at the queue waits behind it, or behind somebody
// who does. Ours know it, and that it is none.
//
// So one of ours whose number is beyond holds the lock only if it has seen, in one list,
// that it is the first, that the guard is there, and that there is no claim of an earlier
// build: see readPositionBeyond. Then none of these holds the lock beside it:
//
//   - not by a look, since the list of one that comes later has the guard in it, which is
//     not deleted while there are claims;
//   - not by a word from the one ahead (see waitForPredecessor), since nobody is left to give it: not
//     a claim in the range, for those came before and are gone; not an earlier build's,
//     since none was there that could hold the lock, and none comes to; and not one of ours
//     beyond, for those leave without a word.
//
// In the range the builds agree: see before. A holder there is the first to all that
// come later, to those of earlier builds too, also if these have numbers beyond.
//
// While an earlier build waits beyond the range nobody is granted the lock, until it has
// gone: it is kept out by the guard, and ours by it. That, or two holders, is the choice,
// in a lock that came that far without its node being empty once since halfway.
//
// An earlier build's Evict would take the guard for the holder; so that it cannot delete
// it, the guard has a child.
var guardName = "~guard#" + strconv.Itoa(lastOrdered)

func guardPaths(parent string) (guard, child string) {
	guard = parent + "/" + guardName
	return guard, guard + "/stays"
}

func (b *backend) makeGuard(s *session, parent string) error {
	guard, child := guardPaths(parent)
	_, err := s.transact([]any{
		&zk.CreateRequest{Path: guard, Acl: b.config.acl},
		&zk.CreateRequest{Path: child, Acl: b.config.acl},
	})
	if errors.Is(err, zk.ErrNodeExists) {
		return nil
	}
	return err
}

// renewParent deletes the node of a lock if there is no claim in it, so that the next
// makes it anew, with a counter that begins anew. The guard goes with it, in one
// transaction.
//
// If another claim comes at the same time, one of two is first: then the node is not
// empty, the server refuses and does nothing; or the create finds no node and makes it
// again. A token is a czxid, which rises however often the node is made. Of several that
// leave at the same time the last sees that the node is empty: its server has carried
// out its deletion, and so all before it.
func (b *backend) renewParent(s *session, parent string) {
	st, err := stat(s.conn, parent)
	switch {
	case err != nil: // it is gone, or left to who leaves next, or to the server's sweep
	case st.NumChildren == 0:
		_ = s.conn.Delete(parent, -1)
	case st.NumChildren == 1: // the guard?
		guard, child := guardPaths(parent)
		if exists, _, err := s.conn.Exists(child); err == nil && exists {
			_, _ = s.conn.Multi(
				&zk.DeleteRequest{Path: child, Version: -1},
				&zk.DeleteRequest{Path: guard, Version: -1},
				&zk.DeleteRequest{Path: parent, Version: -1},
			)
		}
	}
}
