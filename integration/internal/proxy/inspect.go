package proxy

import "errors"

var errUnframed = errors.New("proxy: not the protocol that was expected")

// verdict is what a frame is, and what is to happen to it.
type verdict struct {
	begun  *Request // that begins with it
	fault  *Fault   // that has chosen a message in it, or nil
	chosen *Request // that message, if the client sent it
}

// inspect counts the messages of a frame and lets the faults choose. All messages of
// a frame share its fate. With an error the protocol is another one than was thought.
func (c *conn) inspect(dir Direction, frame []byte) (v verdict, err error) {
	c.proxy.mu.Lock()
	defer c.proxy.mu.Unlock()
	if c.session == nil {
		return verdict{}, errUnframed // the other lane has found out
	}
	if dir == ToServer {
		begun, ended, err := c.session.Sent(frame)
		v = c.inspectRequests(ended)
		v.begun = begun
		return v, err
	}
	messages, err := c.session.Received(frame)
	return verdict{fault: c.inspectMessages(messages)}, err
}

func (c *conn) inspectRequests(ended []*Request) (v verdict) {
	p := c.proxy
	for _, r := range ended {
		p.counts.Requests++
		r.decided = true
		fault := p.choose(func(f *Fault) bool {
			return f.byRequest != nil && (f.toReply || v.fault == nil) && f.byRequest(r.Bytes)
		})
		switch {
		case fault == nil:
		case fault.toReply:
			r.fault = fault
		default:
			v.fault, v.chosen = fault, r
			if fault.then == held {
				r.held, fault.conn = fault, c
			}
		}
	}
	return v
}

func (c *conn) inspectMessages(messages []Message) (chosen *Fault) {
	p := c.proxy
	for _, m := range messages {
		reply := Reply{Bytes: m.Bytes, Push: m.Push, glued: m.Glued}
		if m.Push {
			p.counts.Pushes++
		} else {
			p.counts.Replies++
		}
		if m.To != nil {
			reply.Request = m.To.Bytes
			if m.To.held != nil {
				m.To.held.answer()
			}
		}
		switch {
		case chosen != nil:
		case m.To != nil && m.To.fault != nil:
			chosen, m.To.fault = m.To.fault, nil
			chosen.conn = c
			chosen.answer() // this is the answer: nothing has to wait for it
		default:
			chosen = p.choose(func(f *Fault) bool { return f.byReply != nil && f.byReply(reply) })
		}
	}
	return chosen
}

// unframed gives up telling messages apart: what is spoken is another protocol.
func (c *conn) unframed() {
	c.proxy.mu.Lock()
	defer c.proxy.mu.Unlock()
	if c.session != nil {
		c.session = nil
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
