package proxy

// Counts tells what has passed through a proxy, counted as it arrives, whether or
// not it was delivered.
type Counts struct {
	Accepted int // connections
	Open     int // connections that have not ended on both sides

	// Messages, on connections whose protocol is known. What a client says without
	// being told to counts: ZooKeeper's pings, etcd's keep-alives.
	Requests, Replies, Pushes int

	// Bytes.
	ToServer, ToClient int64

	// Unframed counts the connections that spoke something else than the protocol
	// (TLS, for one). Their messages are not counted and meet no fault.
	Unframed int
}

// Counts returns the totals since the proxy was started.
func (p *Proxy) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counts
	c.Open = len(p.conns)
	return c
}

// Since tells what was added after an earlier reading. Open stays as it is.
func (c Counts) Since(before Counts) Counts {
	c.Accepted -= before.Accepted
	c.Requests -= before.Requests
	c.Replies -= before.Replies
	c.Pushes -= before.Pushes
	c.ToServer -= before.ToServer
	c.ToClient -= before.ToClient
	c.Unframed -= before.Unframed
	return c
}
