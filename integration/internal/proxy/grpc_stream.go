package proxy

import (
	"slices"
	"strings"

	"golang.org/x/net/http2/hpack"
)

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
