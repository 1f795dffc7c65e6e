package proxy

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// grpcReader puts the messages of one direction of a stream together.
type grpcReader struct{ partial []byte }

// grpcPrefix is the length of what each message begins with: whether it is
// compressed, and its length.
const grpcPrefix = 5

// take adds the bytes of a frame and returns the messages that end with it. They
// are glued unless the frame is exactly one message.
func (r *grpcReader) take(data []byte) (messages [][]byte, glued bool, err error) {
	glued = len(r.partial) > 0
	rest := append(r.partial, data...)
	for len(rest) >= grpcPrefix {
		if rest[0] > 1 {
			return messages, true, fmt.Errorf("gRPC: a message begins with %#x", rest[0])
		}
		size := uint64(binary.BigEndian.Uint32(rest[1:]))
		if size > uint64(len(rest)-grpcPrefix) {
			break
		}
		end := grpcPrefix + int(size)
		messages = append(messages, rest[grpcPrefix:end])
		rest = rest[end:]
	}
	r.partial = bytes.Clone(rest)
	return messages, glued || len(rest) > 0 || len(messages) != 1, nil
}
