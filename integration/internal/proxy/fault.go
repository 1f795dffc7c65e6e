package proxy

import (
	"sync"
)

// Fault is one that happens once, to one message. It is armed until it has chosen
// its message, or Cancel or Heal disarm it. A message that one fault has chosen is
// not shown to those armed after it.
type Fault struct {
	proxy  *Proxy // the only one that it is armed at, or nil
	disarm func()
	then   outcome

	// One of the two chooses. With toReply, the reply to the request that is
	// chosen is meant.
	byRequest func(request []byte) bool
	byReply   func(Reply) bool
	toReply   bool

	fired     chan struct{}
	delivered chan struct{}
	released  chan struct{}
	once      sync.Once

	// What follows only a message that is held.
	conn         *conn // it is on; guarded by proxy.mu
	alone        bool  // to be answered before what follows it; set before released is closed
	answered     chan struct{}
	answeredOnce sync.Once
}

// outcome is what happens to the message that a Fault has chosen.
type outcome int

const (
	lost      outcome = iota // swallowed, and the connection reset
	swallowed                // swallowed, and nobody the wiser
	held                     // delivered when it is released
)

// Reply is a message of the server, as shown to the function given to
// [Proxy.LoseReplyIf].
type Reply struct {
	Bytes   []byte
	Push    bool   // not an answer
	Request []byte // that it answers; nil for a push
	glued   bool   // see [Message]
}

// arm puts a fault on the list of those that are shown each message.
func (p *Proxy) arm(f *Fault) *Fault {
	f.prepare()
	f.proxy, f.disarm = p, func() { p.disarm(f) }
	p.enlist(f)
	return f
}

func (f *Fault) prepare() {
	f.fired = make(chan struct{})
	f.delivered = make(chan struct{})
	f.released = make(chan struct{})
	f.answered = make(chan struct{})
}

func (p *Proxy) enlist(f *Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = append(p.armed, f)
	if f.then == held {
		p.held = append(p.held, f)
	}
}

func (p *Proxy) disarm(f *Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.choose(func(g *Fault) bool { return g == f })
}

// choose finds and disarms the first fault that wants a message. Call with p.mu
// held.
func (p *Proxy) choose(wants func(*Fault) bool) *Fault {
	for i, f := range p.armed {
		if wants(f) {
			p.armed = append(p.armed[:i:i], p.armed[i+1:]...)
			return f
		}
	}
	return nil
}

// Fired is closed when the fault has happened: the connection has been reset, the
// message swallowed or stopped. A test that never sees it has tested nothing.
func (f *Fault) Fired() <-chan struct{} { return f.fired }

// Cancel disarms a fault that has not chosen its message yet.
func (f *Fault) Cancel() { f.disarm() }

// release lets a held message go on. It may be called twice.
func (f *Fault) release() { f.once.Do(func() { close(f.released) }) }

// answer ends the wait of what follows a held message. It may be called twice.
func (f *Fault) answer() { f.answeredOnce.Do(func() { close(f.answered) }) }

// Held is a Fault that stops a message, and with it all that follows it on its
// connection in that direction, the end of the connection included.
type Held struct{ *Fault }

// Release delivers the message, or disarms the fault if it has stopped none yet.
func (h Held) Release() {
	h.Cancel()
	h.release()
}

// ReleaseAlone is [Held.Release], but what follows a request waits until the server
// has answered that. Behind the late request of a client that has given up come its
// cancellation or the end of its connection, and a server that reads both at once
// may drop the request: a gRPC server does. Such a request is late by more than its
// client's patience, as one is that the server itself has kept waiting.
//
// A request that gets no answer keeps what follows it until the server closes the
// connection, or Heal.
func (h Held) ReleaseAlone() {
	h.Cancel()
	h.once.Do(func() {
		h.alone = true
		close(h.released)
	})
}

// CutClient resets the client's side of the connection that a message is held on,
// and leaves the server's: the client learns that its connection broke, connects
// again and goes on, while what is held is still under way. It does nothing before
// Fired.
func (h Held) CutClient() {
	h.proxy.mu.Lock()
	defer h.proxy.mu.Unlock()
	if h.conn != nil {
		cut(h.conn.client)
	}
}

// Delivered is closed when the message has been written to its destination.
func (h Held) Delivered() <-chan struct{} { return h.delivered }

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
