package proxy

import (
	"math"
	"slices"

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
