package proxy

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
