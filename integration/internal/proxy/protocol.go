package proxy

// Protocol makes the [Session] of a new connection.
type Protocol func() Session

// Session knows where the messages of one connection begin and end, and which
// reply belongs to which request. Awaits and Classify are not called at the same
// time; each Framer serves one direction.
type Session interface {
	Requests() Framer
	Replies() Framer

	// Awaits notes a request that was sent, and reports whether it gets an answer.
	Awaits(request []byte) bool

	// Classify tells what a message of the server is. The request is the oldest
	// that is not answered in full; nil if there is none.
	Classify(message, request []byte) Kind
}

// Framer finds the ends of messages in a stream of bytes that arrives in pieces.
type Framer interface {
	// Feed takes the next bytes of the stream, up to the end of a message, and
	// says how many it took and whether a message ends there. It takes all of p
	// unless one does. After an error it is not called again.
	Feed(p []byte) (n int, end bool, err error)
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
