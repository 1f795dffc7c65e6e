package session

import (
	"encoding/binary"
	"math"
	"slices"
	"sync"

	"github.com/go-zookeeper/zk"
)

// direct sends transactions on a connection beside go-zookeeper, whose own way takes two more
// goroutines, and thirty allocations for reflection. A transaction goes out on its caller's
// goroutine, and rawConn takes its answer out of what go-zookeeper reads (0076).
//
// Nothing else changes. A server carries out a connection's requests in their order, and answers in
// it. An event that the server has sent before an answer was handled before the answer is taken out,
// since go-zookeeper handles each packet before it reads the next. An answer is taken out after
// go-zookeeper has told that there is a connection. When the connection ends, all that has no answer
// fails, and it is not known what was done; nothing is sent again. While there is no connection that
// can be used, transactions go by go-zookeeper, and wait there as all requests do. A transaction that
// is sent here may so overtake one that waits there; no caller relies on their order, since each has
// its own lock, or has waited for the one before.
type direct struct {
	mu    sync.Mutex
	open  bool // the server has granted the session, and knows the user
	ended bool
	last  int32   // the number of the last transaction
	calls []*call // that have no answer
	spare []*call // that are over, for reuse

	sending sync.Mutex
	packet  []byte // guarded by sending
}

// call is a transaction under way.
type call struct {
	xid    int32
	ops    int
	answer []zk.MultiResponse
	err    error
	done   chan struct{} // gets one value when the call is over
}

// directly is the number before the first of ours, which fall from there. go-zookeeper's own are
// positive, or belong to what the protocol has fixed numbers for, the lowest of which is -8.
const directly = -1000

// begin notes a transaction. It returns nil if it cannot be sent here.
func (d *direct) begin(ops int) *call {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.open || d.ended {
		return nil
	}
	if d.last >= directly || d.last == math.MinInt32 {
		d.last = directly
	}
	d.last--
	var c *call
	if n := len(d.spare); n > 0 {
		c, d.spare = d.spare[n-1], d.spare[:n-1]
	} else {
		c = &call{done: make(chan struct{}, 1)}
	}
	c.xid, c.ops = d.last, ops
	d.calls = append(d.calls, c)
	return c
}

// result waits for the end of a call.
func (d *direct) result(c *call) (answer []zk.MultiResponse, err error) {
	<-c.done
	answer, err = c.answer, c.err
	c.answer, c.err = nil, nil
	d.mu.Lock()
	defer d.mu.Unlock()
	d.spare = append(d.spare, c)
	return answer, err
}

// take returns the call with a number, which is over now; nil if there is none.
func (d *direct) take(xid int32) *call {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.IndexFunc(d.calls, func(c *call) bool { return c.xid == xid })
	if i < 0 {
		return nil
	}
	c := d.calls[i]
	d.calls = slices.Delete(d.calls, i, i+1)
	return c
}

// allow notes that transactions can be sent.
func (d *direct) allow() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = true
}

// end notes that the connection has ended. A call that is noted before fails here, also if it has
// not been sent yet; none is noted later.
func (d *direct) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended = true
	for _, c := range d.calls {
		c.err = zk.ErrConnectionClosed
		c.done <- struct{}{}
	}
	d.calls = nil
}

// transact sends a transaction on the connection, and waits for the answer. ok is false if that is
// not possible; then nothing was sent.
func (l *Link) transact(ops []any) (answer []zk.MultiResponse, ok bool, err error) {
	l.mu.Lock()
	c := l.raw
	l.mu.Unlock()
	if c == nil {
		return nil, false, nil
	}
	d := &c.direct
	d.sending.Lock()
	packet, ok := appendTransaction(d.packet[:0], 0, ops)
	var under *call
	if ok {
		d.packet = packet
		under = d.begin(len(ops))
	}
	if under == nil {
		d.sending.Unlock()
		return nil, false, nil
	}
	binary.BigEndian.PutUint32(packet[4:], uint32(under.xid))
	_, err = c.write(packet)
	d.sending.Unlock()
	if err != nil {
		_ = c.Close() // a part of it may have been sent
	}
	answer, err = d.result(under)
	return answer, true, err
}

// answered ends a call.
func (c *rawConn) answered(packet []byte) {
	r := reader{rest: packet}
	xid, zxid, code := r.int(), r.long(), r.int()
	c.link.saw(zxid)
	under := c.direct.take(xid)
	if under == nil {
		return
	}
	if under.err = errorOf(code); under.err == nil {
		under.answer, under.err = readTransaction(r.rest, under.ops)
	}
	under.done <- struct{}{}
}
