package proxy

import (
	"slices"
)

// Protocol makes the [Session] of a new connection.
type Protocol func() Session

// Session knows where the frames of one connection begin and end, which messages
// they carry, and which reply belongs to which request. Sent and Received are not
// called at the same time; each Framer serves one direction. After an error the
// connection passes as plain bytes: what is spoken is another protocol.
//
// For protocols that answer in the order of the requests, see [InOrder].
type Session interface {
	Requests() Framer
	Replies() Framer

	// Sent notes a frame of the client and returns the requests that end with it,
	// none for a frame that carries something else. A request that begins with it,
	// and soon ends with a later one, is returned as begun: its beginning waits for
	// its end, so that a fault can happen to all of it.
	Sent(frame []byte) (begun *Request, ended []*Request, err error)

	// Received notes a frame of the server and returns the messages that end
	// with it.
	Received(frame []byte) ([]Message, error)
}

// Framer finds the ends of frames in a stream of bytes that arrives in pieces. In
// a simple protocol each frame is one message.
type Framer interface {
	// Feed takes the next bytes of the stream, up to the end of a frame, and says
	// how many it took and whether a frame ends there. It takes all of p unless
	// one does. After an error it is not called again.
	//
	// Bytes of a frame that is not complete are held back, so a stream of another
	// protocol must be refused at its first bytes.
	Feed(p []byte) (n int, end bool, err error)
}

// Request is a message of the client. Its address names it in the reply.
type Request struct {
	// Bytes is what the functions that choose are shown. It need not be what is on
	// the wire.
	Bytes []byte

	// Guarded by proxy.mu.
	fault *Fault // to happen to the answer
	held  *Fault // that holds the request itself

	// Its end has come, or will not. Used by the reader of the lane to the server,
	// which alone calls Sent.
	decided bool
}

// Message is one of the server.
type Message struct {
	Bytes []byte
	Push  bool     // not an answer
	To    *Request // that it answers, in full or in part; nil for a push

	// Glued means that its frame must not be missing: it has bytes of other
	// messages, or other frames have bytes of this one.
	Glued bool
}

// headed finds the ends of messages that begin with a head of fixed size, which says
// how much comes after it.
type headed struct {
	head []byte
	left int // bytes after the head that are still to come
}

// feed is Framer.Feed for a head of some size. check looks at each byte of the head as it
// comes, and may refuse it; rest reads a head that is complete.
func (f *headed) feed(p []byte, size int, check func(head []byte) error, rest func(head []byte) int) (n int, end bool, err error) {
	for n < len(p) {
		if len(f.head) < size {
			f.head = append(f.head, p[n])
			n++
			if err := check(f.head); err != nil {
				return n, false, err
			}
			if len(f.head) < size {
				continue
			}
			f.left = rest(f.head)
		} else {
			k := min(f.left, len(p)-n)
			f.left -= k
			n += k
		}
		if f.left == 0 {
			f.head = f.head[:0]
			return n, true, nil
		}
	}
	return n, false, nil
}

// Ordered is a protocol whose frames are messages, and whose server answers in the
// order of the requests. Awaits and Classify are not called at the same time.
type Ordered interface {
	Requests() Framer
	Replies() Framer

	// Awaits notes a request that was sent, and reports whether it gets an answer.
	Awaits(request []byte) bool

	// Classify tells what a message of the server is. The request is the oldest
	// that is not answered in full; nil if there is none.
	Classify(message, request []byte) Kind
}

// Kind is what a message of the server is to the client.
type Kind int

const (
	// Answer is the whole answer to the oldest request, or the last part of it.
	Answer Kind = iota
	// Part is one of several messages that answer the oldest request; more follow.
	Part
	// Push was not asked for.
	Push
)

// InOrder makes a session of an ordered protocol.
func InOrder(o Ordered) Session { return &inOrder{Ordered: o} }

type inOrder struct {
	Ordered
	pending []*Request // not answered in full, the oldest first
}

func (s *inOrder) Sent(frame []byte) (*Request, []*Request, error) {
	r := &Request{Bytes: frame}
	if s.Awaits(frame) {
		s.pending = append(s.pending, r)
	}
	return nil, []*Request{r}, nil
}

func (s *inOrder) Received(frame []byte) ([]Message, error) {
	m := Message{Bytes: frame}
	var asked []byte
	if len(s.pending) > 0 {
		m.To = s.pending[0]
		asked = m.To.Bytes
	}
	switch s.Classify(frame, asked) {
	case Push:
		m.Push, m.To = true, nil
	case Answer:
		if m.To != nil {
			s.pending = s.pending[1:]
		}
	case Part:
	}
	return []Message{m}, nil
}

// strike lets a fault happen where its message begins.
func (l *lane) strike(p parcel, v verdict) parcel {
	p.ends = v.fault
	for i, w := range l.waiting {
		if w.begins != nil && w.begins == v.chosen && w.fault == nil {
			l.waiting[i].fault = v.fault
			return p
		}
	}
	p.fault = v.fault
	return p
}

// maxWaiting is less than a sender may send before its receiver makes room, which
// that does when it has got something: waiting for more could last for ever.
const maxWaiting = 16 << 10

// ready takes from what is waiting all before the first request that is not complete.
func (l *lane) ready() []parcel {
	size := 0
	for _, p := range l.waiting {
		size += len(p.bytes)
	}
	n := len(l.waiting)
	if l.framer != nil && size <= maxWaiting {
		if i := slices.IndexFunc(l.waiting, func(p parcel) bool { return p.begins != nil && !p.begins.decided }); i >= 0 {
			n = i
		}
	}
	ready := l.waiting[:n:n]
	l.waiting = l.waiting[n:]
	return ready
}
