package wire

import (
	"encoding/binary"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// AppendPing appends a question whether the other is there, with a number of the asker's.
func AppendPing(dst []byte, number uint64) []byte {
	return appendNumber(dst, TypePing, number)
}

// AppendPong appends the answer, with the number of the question.
func AppendPong(dst []byte, number uint64) []byte {
	return appendNumber(dst, TypePong, number)
}

// ParsePing takes a ping apart, or a pong.
func ParsePing(body []byte) (number uint64, err error) { return parseNumber(body) }

// appendNumber appends a frame that is a number.
func appendNumber(dst []byte, t Type, number uint64) []byte {
	at := len(dst)
	return end(binary.AppendUvarint(begin(dst, t), number), at)
}

func parseNumber(body []byte) (number uint64, err error) {
	f := command.FieldsOf(body)
	number = f.Number()
	return number, f.Done()
}
