package proxy

import (
	"bytes"
	"strings"
)

// RESP is the protocol of Redis and Valkey, versions 2 and 3. It follows pub/sub,
// whose confirmations answer a SUBSCRIBE one channel at a time. MONITOR and CLIENT
// REPLY, which break the pairing of requests and replies, are not followed.
func RESP() Session { return InOrder(&resp{}) }

type resp struct {
	subscribed bool // in RESP2 a message looks like any array: this tells
	confirmed  int  // channels of the oldest request
}

func (*resp) Requests() Framer { return &respFramer{inline: true} }
func (*resp) Replies() Framer  { return &respFramer{} }

func (s *resp) Awaits(request []byte) bool {
	args := Args(request)
	if len(args) == 0 {
		return false // the server ignores an empty line
	}
	s.subscribed = s.subscribed || subscription(args[0])
	return true
}

func (s *resp) Classify(message, request []byte) Kind {
	push := message[0] == '>'
	if !push && (message[0] != '*' || !s.subscribed) {
		s.confirmed = 0
		return Answer
	}
	name := firstString(message)
	args := Args(request)
	switch {
	case subscription(name) && len(args) > 0 && strings.EqualFold(args[0], name):
		if s.confirmed++; s.confirmed < len(args)-1 {
			return Part
		}
		s.confirmed = 0
		return Answer
	case push || subscription(name) || strings.HasSuffix(name, "message"):
		return Push
	}
	return Answer
}

// subscription reports whether a command is answered once for each channel.
func subscription(command string) bool {
	command = strings.ToLower(command)
	return strings.HasSuffix(command, "subscribe")
}

// firstString is the first element of an array or push, if that is a string.
func firstString(message []byte) string {
	_, rest, _ := bytes.Cut(message, []byte("\r\n"))
	header, rest, _ := bytes.Cut(rest, []byte("\r\n"))
	switch {
	case len(header) > 0 && header[0] == '+':
		return string(header[1:])
	case len(header) > 0 && header[0] == '$':
		name, _, _ := bytes.Cut(rest, []byte("\r\n"))
		return string(name)
	}
	return ""
}
