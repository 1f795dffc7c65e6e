package proxy

// HoldRequest stops the n-th request from now, counted from 1, that matches. The
// client may give up and go away; on Release the request reaches the server all
// the same, which is how a retry is overtaken by the attempt it replaced.
func (p *Proxy) HoldRequest(match func(request []byte) bool, n int) Held {
	return Held{p.arm(&Fault{then: held, byRequest: nth(match, n)})}
}

// HoldReplyTo stops the reply to the n-th request from now that matches: the
// server has carried it out, and the client hears of it late.
func (p *Proxy) HoldReplyTo(match func(request []byte) bool, n int) Held {
	return Held{p.arm(&Fault{then: held, byRequest: nth(match, n), toReply: true})}
}
