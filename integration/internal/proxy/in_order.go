package proxy

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
