package zookeeper

import (
	"errors"
	"strings"

	"github.com/go-zookeeper/zk"
)

// create makes the node of a claim. If all that it needs comes with the answer, it is
// the first look at the queue, too, so that a lock that is free costs one request.
//
// The transaction also sets the data of the lock's node, which has none, to none. The
// answer to that is the state of the lock's node at this very moment in the order of all
// transactions: its mzxid is the transaction's number, which is the new node's czxid, the
// token; and if it has one child, that is ours. Then all claims that came before are
// gone for good, and others will come behind: we are the first, which a list could not
// prove better, whatever our number is; but where that does not tell the order, there is
// more to look at, see guardName. The node is of our session, since its answer came to it: one that had
// ended would have been refused. An application's connection may have gone on with
// another session, and sent it there; then its session's number has changed since, which
// createNode looks at.
//
// Who may not write to the lock's node looks after the create, at the list and the node.
func (b *backend) create(a *attempt) (node string, seen *position, err error) {
	p := &part{lock: a.parent, separate: !b.parents.has(a.parent), ops: []any{
		&zk.CreateRequest{
			Path: a.parent + "/" + a.attemptID + "#+", Data: record(a.lease(), a.meta), Acl: b.config.acl, Flags: zk.FlagEphemeralSequential,
		},
		&zk.SetDataRequest{Path: a.parent, Version: -1},
	}}
	unwritable := b.unwritable.Load()
	if unwritable {
		p.ops = p.ops[:1]
	}
	answer, err := a.session.batch.commit(p)
	if errors.Is(err, zk.ErrNoAuth) && !unwritable {
		// It was refused, so nothing was done. Is it the write that is not allowed?
		p.ops, p.separate, unwritable = p.ops[:1], true, true
		if answer, err = a.session.batch.commit(p); err == nil {
			b.unwritable.Store(true)
		}
	}
	if err != nil {
		return "", nil, err
	}
	path := answer[0].String
	node = path[strings.LastIndexByte(path, '/')+1:]
	if unwritable {
		return node, nil, nil
	}
	parent := answer[1].Stat
	b.mu.Lock()
	a.czxid = parent.Mzxid
	b.mu.Unlock()
	if parent.NumChildren == 1 && !beyond(node) {
		seen = &position{inQueue: true}
	}
	return node, seen, nil
}
