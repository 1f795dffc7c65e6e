package proxy

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"golang.org/x/net/http2/hpack"
)

// GRPC is gRPC on HTTP/2 without TLS, as etcd speaks it. Each gRPC message of the
// client is a request, of a unary call or of a stream. It is answered by the next
// message of its stream, or by the end of the stream; what comes on a stream where
// nothing is left to answer is a push. [etcdWatch] is paired by what it says.
//
// The functions that choose are shown messages that begin with the method they
// belong to: see [Method], [MethodOf] and [Payload]. The end of a stream is shown
// without a payload. Frames that control the connection are no messages, and those
// that open or end a call carry none.
//
// All calls of a client share one connection. So what resets it breaks them all,
// and a message that is held holds everything behind it in that direction: later
// calls, the cancellation of its own, and the replies to pings. See
// [Held.ReleaseAlone] for what that does to the late request of a caller that has
// given up.
//
// What happens to the first request of a call happens to its opening too, so that
// the server learns nothing of a request that is lost, and the time that a caller
// has left begins when a held one is delivered. For that the opening waits for the
// request; those of [leisurely] calls do not. Of another message that spans frames
// all but the last are delivered, which nobody notices: it is taken up when it is
// complete. The flow-control window never gets back what a swallowed push took of
// it, so only small ones should be swallowed.
func GRPC() Session {
	s := &grpcSession{streams: map[uint32]*grpcStream{}}
	s.hpack = hpack.NewDecoder(4096, nil)
	s.hpack.SetAllowedMaxDynamicTableSize(math.MaxUint32) // whatever the server allows the client
	return s
}

type grpcSession struct {
	prefaced bool
	hpack    *hpack.Decoder // of the client's headers; the server's tell nothing we need
	block    []byte         // headers that are not complete
	streams  map[uint32]*grpcStream
}

func (*grpcSession) Requests() Framer { return &http2Framer{preface: http2Preface} }
func (*grpcSession) Replies() Framer  { return &http2Framer{} }

func (s *grpcSession) Sent(frame []byte) (begun *Request, ended []*Request, err error) {
	if !s.prefaced {
		s.prefaced = true
		return nil, nil, nil
	}
	f, err := parseHTTP2(frame)
	if err != nil {
		return nil, nil, err
	}
	stream := s.streams[f.stream]
	switch {
	case f.kind == http2Headers || f.kind == http2Continuation:
		begun, err = s.headers(f)
	case stream == nil:
	case f.kind == http2Data:
		ended, err = stream.sent(f.payload)
	case f.kind == http2Reset && len(stream.pending) == 0:
		delete(s.streams, f.stream)
		// With a request pending the stream is kept: that may be held by a fault, or
		// its answer be under way.
	}
	if stream != nil && f.ends() {
		stream.first.decided = true // there may have been none
	}
	return begun, ended, err
}

// headers notes the call that a client's headers open, and returns its first
// request if that follows without delay.
func (s *grpcSession) headers(f http2Frame) (begun *Request, err error) {
	s.block = append(s.block, f.payload...)
	if !f.has(http2EndHeaders) {
		return nil, nil
	}
	fields, err := s.hpack.DecodeFull(s.block)
	s.block = nil
	if err != nil {
		return nil, err
	}
	method := grpcMethod(fields)
	if method == "" || s.streams[f.stream] != nil {
		return nil, nil
	}
	stream := &grpcStream{method: method, first: &Request{}}
	s.streams[f.stream] = stream
	if f.kind == http2Continuation || f.ends() || slices.Contains(leisurely, method) {
		return nil, nil
	}
	return stream.first, nil
}

// leisurely are etcd's methods whose calls may be opened long before they are used.
var leisurely = []string{etcdWatch, "/etcdserverpb.Lease/LeaseKeepAlive"}

func (s *grpcSession) Received(frame []byte) ([]Message, error) {
	f, err := parseHTTP2(frame)
	if err != nil {
		return nil, err
	}
	stream := s.streams[f.stream]
	if stream == nil {
		return nil, nil
	}
	var messages []Message
	if f.kind == http2Data {
		if messages, err = stream.received(f.payload); err != nil {
			return nil, err
		}
	}
	if f.ends() {
		messages = append(messages, stream.end()...)
		delete(s.streams, f.stream)
	}
	return messages, nil
}

// grpcMessage is a message as the functions that choose are shown it: the method, a
// zero byte, the payload.
func grpcMessage(method string, payload []byte) []byte {
	b := make([]byte, 0, len(method)+1+len(payload))
	b = append(b, method...)
	b = append(b, 0)
	return append(b, payload...)
}

// MethodOf is the method that a gRPC message belongs to, "/etcdserverpb.KV/Txn"
// for one. It is empty for what is not such a message.
func MethodOf(message []byte) string {
	method, _, ok := bytes.Cut(message, []byte{0})
	if !ok {
		return ""
	}
	return string(method)
}

// Payload is a gRPC message itself, in protobuf, as it is without compression.
func Payload(message []byte) []byte {
	_, payload, _ := bytes.Cut(message, []byte{0})
	return payload
}

// Method matches the gRPC messages of a method whose payload has each of these
// strings in it. Keys and values of etcd are in there as they are.
func Method(method string, parts ...string) func(message []byte) bool {
	if !strings.HasPrefix(method, "/") || strings.Count(method, "/") != 2 {
		// It would match nothing, and the fault never happen.
		panic(fmt.Sprintf("proxy: %q is no gRPC method; one looks like /package.Service/Method", method))
	}
	return func(message []byte) bool {
		if MethodOf(message) != method {
			return false
		}
		for _, part := range parts {
			if !bytes.Contains(Payload(message), []byte(part)) {
				return false
			}
		}
		return true
	}
}

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

// grpcStream is a call.
type grpcStream struct {
	method   string
	up, down grpcReader
	first    *Request
	begun    bool       // the first has been sent
	pending  []*Request // not answered, the oldest first
}

// grpcMethod is the path of the call that headers open, or "" if it is not gRPC.
func grpcMethod(fields []hpack.HeaderField) (path string) {
	is := false
	for _, f := range fields {
		switch f.Name {
		case ":path":
			path = f.Value
		case "content-type":
			is = strings.HasPrefix(f.Value, "application/grpc")
		}
	}
	if !is {
		return ""
	}
	return path
}

func (s *grpcStream) sent(data []byte) ([]*Request, error) {
	payloads, _, err := s.up.take(data)
	var requests []*Request
	for _, p := range payloads {
		r := &Request{}
		if !s.begun {
			s.begun, r = true, s.first
		}
		r.Bytes = grpcMessage(s.method, p)
		requests = append(requests, r)
	}
	s.pending = append(s.pending, requests...)
	return requests, err
}

func (s *grpcStream) received(data []byte) ([]Message, error) {
	payloads, glued, err := s.down.take(data)
	var messages []Message
	for _, p := range payloads {
		m := Message{Bytes: grpcMessage(s.method, p), To: s.answered(p), Glued: glued}
		m.Push = m.To == nil
		messages = append(messages, m)
	}
	return messages, err
}

// answered takes the request that a message answers off the list, or returns nil.
func (s *grpcStream) answered(payload []byte) *Request {
	i := 0
	if s.method == etcdWatch {
		answers := etcdWatchAnswers(payload)
		i = slices.IndexFunc(s.pending, func(r *Request) bool { return answers(Payload(r.Bytes)) })
	}
	if i < 0 || i >= len(s.pending) {
		return nil
	}
	r := s.pending[i]
	s.pending = slices.Delete(s.pending, i, i+1)
	return r
}

// end is what the end of the stream is to the requests that were not answered.
func (s *grpcStream) end() []Message {
	var messages []Message
	for _, r := range s.pending {
		messages = append(messages, Message{Bytes: grpcMessage(s.method, nil), To: r, Glued: true})
	}
	s.pending = nil
	return messages
}
