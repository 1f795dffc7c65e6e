package proxy

import "google.golang.org/protobuf/encoding/protowire"

// protoField is the first field of a number in a protobuf message: its bytes or its
// value, and whether it is there. One that is zero is not.
func protoField(message []byte, number protowire.Number) (data []byte, value uint64, ok bool) {
	for len(message) > 0 {
		got, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil, 0, false
		}
		message = message[n:]
		size := protowire.ConsumeFieldValue(got, kind, message)
		if size < 0 {
			return nil, 0, false
		}
		switch {
		case got != number:
		case kind == protowire.BytesType:
			data, _ = protowire.ConsumeBytes(message)
			return data, 0, true
		case kind == protowire.VarintType:
			value, _ = protowire.ConsumeVarint(message)
			return nil, value, true
		}
		message = message[size:]
	}
	return nil, 0, false
}
