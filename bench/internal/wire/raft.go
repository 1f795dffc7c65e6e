package wire

// The types of frames of the built-in Raft that are counted: requests of a client, and what it is answered or told. A
// frame of answers may have been asked for or not, so pushes are not told apart.
const raftCommands = 4

// Raft is the protocol of its clients: four bytes of preface from the client, and then, both ways, frames behind a length,
// of which the first byte says the type. A frame has all commands that were ready at a time.
func Raft(c *Counter) (out, in stream) {
	return &headed{skip: 4, of: 5, seen: func(head []byte) {
		if head[4] == raftCommands {
			c.commands.Add(1)
		}
	}}, &headed{of: 5, seen: func([]byte) {}}
}
