package proxy

import "sync"

// Fault is one that happens once, to one message. It is armed until it has chosen
// its message, or Cancel or Heal disarm it. A message that one fault has chosen is
// not shown to those armed after it.
type Fault struct {
	proxy *Proxy
	then  outcome

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
	f.proxy = p
	f.fired = make(chan struct{})
	f.delivered = make(chan struct{})
	f.released = make(chan struct{})
	f.answered = make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = append(p.armed, f)
	if f.then == held {
		p.held = append(p.held, f)
	}
	return f
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
func (f *Fault) Cancel() {
	f.proxy.mu.Lock()
	defer f.proxy.mu.Unlock()
	f.proxy.choose(func(g *Fault) bool { return g == f })
}

// release lets a held message go on. It may be called twice.
func (f *Fault) release() { f.once.Do(func() { close(f.released) }) }

// answer ends the wait of what follows a held message. It may be called twice.
func (f *Fault) answer() { f.answeredOnce.Do(func() { close(f.answered) }) }
