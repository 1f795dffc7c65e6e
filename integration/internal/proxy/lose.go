package proxy

// LoseReply loses the n-th reply from now, counted from 1 over all connections:
// the server has carried out the request, the reply is swallowed and the
// connection reset. Pushes are neither counted nor lost.
func (p *Proxy) LoseReply(n int) *Fault {
	return p.LoseReplyIf(func(_ int, r Reply) bool {
		if r.Push {
			return false
		}
		n--
		return n == 0
	})
}

// LoseReplyOrPush is [Proxy.LoseReply] with pushes counted, and lost, like
// replies.
func (p *Proxy) LoseReplyOrPush(n int) *Fault {
	return p.LoseReplyIf(func(i int, _ Reply) bool { return i == n })
}

// LoseReplyIf loses the first message of the server for which choose returns
// true, and resets its connection. The messages are numbered from 1, pushes
// included. The function must neither keep the bytes nor call the proxy.
func (p *Proxy) LoseReplyIf(choose func(n int, r Reply) bool) *Fault {
	seen := 0
	return p.arm(&Fault{then: lost, byReply: func(r Reply) bool {
		seen++
		return choose(seen, r)
	}})
}

// LoseReplyTo loses the reply to the n-th request from now, counted from 1, that
// matches. Requests already under way do not count.
func (p *Proxy) LoseReplyTo(match func(request []byte) bool, n int) *Fault {
	return p.arm(&Fault{then: lost, byRequest: nth(match, n), toReply: true})
}

// LoseRequest resets the connection in place of delivering the n-th request from
// now that matches: the server never sees it, and the client cannot know.
func (p *Proxy) LoseRequest(match func(request []byte) bool, n int) *Fault {
	return p.arm(&Fault{then: lost, byRequest: nth(match, n)})
}

// SwallowPush swallows the n-th push from now that matches. The connection lives
// on, since a push that is missing leaves no gap in the answers: pub/sub may lose
// messages so when a server fails over. A push that does not fill a frame of its
// own is passed over, since that would leave a gap.
func (p *Proxy) SwallowPush(match func(push []byte) bool, n int) *Fault {
	wanted := nth(match, n)
	return p.arm(&Fault{then: swallowed, byReply: func(r Reply) bool {
		return r.Push && !r.glued && wanted(r.Bytes)
	}})
}

// nth returns a function that is true for the n-th message that matches. A nil
// match takes all.
func nth(match func([]byte) bool, n int) func([]byte) bool {
	return func(message []byte) bool {
		if match == nil || match(message) {
			n--
			return n == 0
		}
		return false
	}
}
