package proxy

// inspect counts a message and returns the fault that has chosen it, or nil.
func (c *conn) inspect(dir Direction, message []byte) *Fault {
	c.proxy.mu.Lock()
	defer c.proxy.mu.Unlock()
	if c.session == nil {
		return nil
	}
	if dir == ToServer {
		return c.inspectRequest(message)
	}
	return c.inspectReply(message)
}

func (c *conn) inspectRequest(message []byte) *Fault {
	p := c.proxy
	p.counts.Requests++
	fault := p.choose(func(f *Fault) bool { return f.byRequest != nil && f.byRequest(message) })
	r := &request{bytes: message}
	if fault != nil && fault.toReply {
		r.fault, fault = fault, nil
	}
	if c.session.Awaits(message) {
		c.pending = append(c.pending, r)
	}
	return fault
}

func (c *conn) inspectReply(message []byte) *Fault {
	p := c.proxy
	var asked *request
	reply := Reply{Bytes: message}
	if len(c.pending) > 0 {
		asked = c.pending[0]
		reply.Request = asked.bytes
	}
	kind := c.session.Classify(message, reply.Request)
	switch kind {
	case Push:
		p.counts.Pushes++
		asked, reply.Request, reply.Push = nil, nil, true
	default:
		p.counts.Replies++
		if kind == Answer && asked != nil {
			c.pending = c.pending[1:]
		}
	}
	if asked != nil && asked.fault != nil {
		fault := asked.fault
		asked.fault = nil
		return fault
	}
	return p.choose(func(f *Fault) bool { return f.byReply != nil && f.byReply(reply) })
}

// unframed gives up telling messages apart: what is spoken is another protocol.
func (c *conn) unframed() {
	c.proxy.mu.Lock()
	defer c.proxy.mu.Unlock()
	if c.session != nil {
		c.session, c.pending = nil, nil
		c.proxy.counts.Unframed++
	}
}

func (c *conn) countBytes(dir Direction, n int) {
	c.proxy.mu.Lock()
	defer c.proxy.mu.Unlock()
	if dir == ToServer {
		c.proxy.counts.ToServer += int64(n)
	} else {
		c.proxy.counts.ToClient += int64(n)
	}
}
