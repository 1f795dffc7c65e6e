package etcd

import pb "go.etcd.io/etcd/api/v3/etcdserverpb"

// The two transactions of a lock, as they are sent. Each is one piece of memory, with one more for its text:
// etcd's client makes one of forty.

// claim is the transaction that makes a claim.
type claim struct {
	pb.TxnRequest
	free, alone creation // conditions
	epoch       pb.Compare
	current     pb.Compare_ModRevision
	count       pb.RangeRequest
	put         pb.PutRequest
	counting    pb.RequestOp_RequestRange
	putting     pb.RequestOp_RequestPut
	ops         [2]pb.RequestOp
	conditions  [3]*pb.Compare
	then        [2]*pb.RequestOp
}

// newClaim makes that of an attempt. It counts the other claims, which is cheap for
// the server. Sorting them, to find the next older one, would hold up all other writes of the server.
func newClaim(a *attempt, epoch int64, onlyIfFree bool) *pb.TxnRequest {
	prefix := len(directory(a.name))
	text := make([]byte, 0, len(a.name)+prefix+len(a.session.EpochKey)+len(a.AttemptID)+1+len(a.identity))
	part := func(s ...string) []byte {
		begin := len(text)
		for _, s := range s {
			text = append(text, s...)
		}
		return text[begin:len(text):len(text)]
	}
	name, end := part(a.name), part(a.name[:prefix])
	end[prefix-1]++ // past all that begin with the prefix, which ends with a slash

	c := new(claim)
	c.current.ModRevision = epoch
	c.epoch.Key, c.epoch.Target, c.epoch.TargetUnion = part(a.session.EpochKey), pb.Compare_MOD, &c.current
	c.Compare = append(c.conditions[:0], c.free.of(name, 0), &c.epoch)
	if onlyIfFree { // true of all claims only if there are none
		c.Compare = append(c.Compare, c.alone.of(name[:prefix], 0))
		c.alone.RangeEnd = end
	}
	c.count.Key, c.count.RangeEnd, c.count.CountOnly = name[:prefix], end, true
	c.put.Key, c.put.Value, c.put.Lease = name, part(a.AttemptID, " ", a.identity), int64(a.session.ID)
	c.counting.RequestRange, c.putting.RequestPut = &c.count, &c.put
	c.ops[0].Request, c.ops[1].Request = &c.counting, &c.putting
	c.Success = append(c.then[:0], &c.ops[0], &c.ops[1])
	return &c.TxnRequest
}

// deletion is the transaction that deletes a claim.
type deletion struct {
	pb.TxnRequest
	created    creation
	delete     pb.DeleteRangeRequest
	deleting   pb.RequestOp_RequestDeleteRange
	op         pb.RequestOp
	conditions [1]*pb.Compare
	then       [1]*pb.RequestOp
}

// newDeletion makes that of the claim which a revision has made.
func newDeletion(name string, revision int64) *pb.TxnRequest {
	key, d := []byte(name), new(deletion)
	d.Compare = append(d.conditions[:0], d.created.of(key, revision))
	d.delete.Key = key
	d.deleting.RequestDeleteRange = &d.delete
	d.op.Request = &d.deleting
	d.Success = append(d.then[:0], &d.op)
	return &d.TxnRequest
}

// creation is the condition that a revision has made a key; 0: that there is none.
type creation struct {
	pb.Compare
	is pb.Compare_CreateRevision
}

func (c *creation) of(key []byte, revision int64) *pb.Compare {
	c.is.CreateRevision = revision
	c.Key, c.Result, c.Target, c.TargetUnion = key, pb.Compare_EQUAL, pb.Compare_CREATE, &c.is
	return &c.Compare
}
