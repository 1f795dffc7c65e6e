package wire

import (
	"encoding/binary"
	"slices"
	"testing"
)

// frame makes one HTTP/2 frame.
func frame(kind, flags byte, id uint32, body string) string {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(body)))[1:]
	head = append(head, kind, flags)
	return string(binary.BigEndian.AppendUint32(head, id)) + body
}

// message makes one gRPC message.
func message(body string) string {
	return string(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body)))) + body
}

const (
	frameSettings = 4
	framePing     = 6
	flagHeadersOK = 4
)

func TestGRPCCountsMessages(t *testing.T) {
	tests := []struct {
		name             string
		out, in          string
		commands, pushes int64
	}{
		{
			"a unary call and its answer",
			frame(frameHeaders, flagHeadersOK, 1, "h") + frame(frameData, flagEnd, 1, message("put")),
			frame(frameHeaders, flagHeadersOK, 1, "h") + frame(frameData, 0, 1, message("done")) + frame(frameHeaders, flagHeadersOK|flagEnd, 1, "t"),
			1, 0,
		},
		{
			"an empty message is one too",
			frame(frameData, flagEnd, 1, message("")),
			frame(frameData, 0, 1, message("")),
			1, 0,
		},
		{
			"a watch that is confirmed, and two events",
			frame(frameData, 0, 3, message("watch")),
			frame(frameData, 0, 3, message("created")) + frame(frameData, 0, 3, message("event")+message("event")),
			1, 2,
		},
		{
			"messages over several frames, of two streams in turn",
			frame(frameData, 0, 1, message("first")[:3]) + frame(frameData, flagEnd, 3, message("second")) + frame(frameData, flagEnd, 1, message("first")[3:]),
			"",
			2, 0,
		},
		{
			"padding is no data",
			frame(frameData, flagPadded|flagEnd, 1, "\x04"+message("put")+message("")[:4]),
			"",
			1, 0,
		},
		{
			"HTTP/2's own frames count as nothing",
			frame(frameSettings, 0, 0, "\x00\x01\x02\x03\x04\x05") + frame(framePing, 0, 0, "12345678"),
			frame(frameSettings, flagEnd, 0, "") + frame(framePing, flagEnd, 0, "12345678"),
			0, 0,
		},
		{
			"what comes on a stream that the client has reset is no push",
			frame(frameData, 0, 5, message("watch")) + frame(frameReset, 0, 5, "\x00\x00\x00\x08"),
			frame(frameData, 0, 5, message("created")+message("event")),
			1, 0,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, piece := range []int{1 << 10, 1, 7} {
				c := NewCounter(nil)
				out, in := GRPC(c)
				for p := range slices.Chunk([]byte(clientPreface+tt.out), piece) {
					out.feed(p)
				}
				for p := range slices.Chunk([]byte(tt.in), piece) {
					in.feed(p)
				}
				if got := c.Read(); got.Commands != tt.commands || got.Pushes != tt.pushes {
					t.Errorf("in pieces of %d: %+v, want %d commands and %d pushes", piece, got, tt.commands, tt.pushes)
				}
			}
		})
	}
}

func TestGRPCForgetsCallsThatAreOver(t *testing.T) {
	s := &rpcs{open: map[uint32]*rpc{1: {}, 3: {}, 5: {}}}
	server := &h2{data: func(uint32, []byte) {}, reset: s.forget, end: s.forget}
	server.feed([]byte(frame(frameHeaders, flagEnd, 1, "t") + frame(frameReset, 0, 3, "\x00\x00\x00\x08")))
	if len(s.open) != 1 || s.open[5] == nil {
		t.Errorf("calls left: %v, want only 5", s.open)
	}
}
