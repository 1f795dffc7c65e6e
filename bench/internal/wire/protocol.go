package wire

// Protocol tells the messages of a connection apart, in each direction.
type Protocol func(c *Counter) (out, in stream)

// stream is one direction of a connection. It is fed the bytes in order, in arbitrary pieces, by one goroutine at a time.
type stream interface {
	feed(p []byte)
}

// RESP is the protocol of Redis.
func RESP(c *Counter) (out, in stream) {
	return &frames{seen: func(byte) { c.commands.Add(1) }}, &frames{seen: func(kind byte) {
		if kind == '>' {
			c.pushes.Add(1)
		}
	}}
}
