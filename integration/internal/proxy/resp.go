package proxy

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// respFramer finds the ends of RESP2 and RESP3 values, and in requests of inline
// commands. It keeps only what it needs between pieces: the header line that is
// not complete, the bytes to skip and the open aggregates.
type respFramer struct {
	inline bool // a line that is no RESP value is one message
	line   []byte
	skip   int // bytes of a string to come, with its line end
	chunk  bool
	open   []level
}

// level is an aggregate whose elements are not complete.
type level struct {
	left      int
	streamed  bool // its length is not known; an end marker closes it
	attribute bool // it describes the value that follows it, and is none itself
}

// Bounds that no real message reaches: beyond them the stream is not RESP.
const (
	maxLine  = 1 << 20
	maxLen   = 1 << 30
	maxDepth = 512
)

func (f *respFramer) Feed(p []byte) (n int, end bool, err error) {
	for n < len(p) && !end && err == nil {
		if f.skip > 0 {
			k := min(f.skip, len(p)-n)
			f.skip -= k
			n += k
			if f.skip == 0 && !f.chunk {
				end = f.value()
			}
			continue
		}
		rest := p[n:]
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			rest = rest[:i+1]
		}
		f.line = append(f.line, rest...)
		n += len(rest)
		if len(f.line) > maxLine {
			return n, false, fmt.Errorf("RESP: a line of more than %d bytes", maxLine)
		}
		if f.line[len(f.line)-1] == '\n' {
			end, err = f.header(bytes.TrimRight(f.line, "\r\n"))
			f.line = f.line[:0]
		}
	}
	return n, end, err
}

// header takes a line, and reports whether the message ends with it.
func (f *respFramer) header(line []byte) (end bool, err error) {
	kind := byte(0)
	if len(line) > 0 {
		kind = line[0]
	}
	if f.inline && len(f.open) == 0 && kind != '*' {
		return true, nil
	}
	switch kind {
	case '+', '-', ':', '_', '#', ',', '(':
		return f.value(), nil
	case '.':
		return f.close()
	case '$', '!', '=', ';', '*', '~', '>', '%', '|':
	default:
		return false, fmt.Errorf("RESP: no value begins with %q", kind)
	}
	if string(line[1:]) == "?" {
		return false, f.push(level{streamed: true, attribute: kind == '|'})
	}
	n, err := strconv.Atoi(string(line[1:]))
	if err != nil || n < -1 || n > maxLen {
		return false, fmt.Errorf("RESP: %q is no length", line[1:])
	}
	switch kind {
	case '$', '!', '=':
		if n == -1 {
			return f.value(), nil
		}
		f.skip, f.chunk = n+2, false
		return false, nil
	case ';':
		if n == 0 {
			return f.close()
		}
		f.skip, f.chunk = n+2, true
		return false, nil
	case '%':
		return f.aggregate(level{left: 2 * n})
	case '|':
		return f.aggregate(level{left: 2 * n, attribute: true})
	default:
		return f.aggregate(level{left: n})
	}
}

// aggregate begins one; null and empty ones end at once.
func (f *respFramer) aggregate(l level) (end bool, err error) {
	switch {
	case l.left > 0:
		return false, f.push(l)
	case l.attribute:
		return false, nil
	default:
		return f.value(), nil
	}
}

func (f *respFramer) push(l level) error {
	if len(f.open) == maxDepth {
		return fmt.Errorf("RESP: more than %d levels", maxDepth)
	}
	f.open = append(f.open, l)
	return nil
}

// close ends the innermost aggregate or string of unknown length.
func (f *respFramer) close() (end bool, err error) {
	top := len(f.open) - 1
	if top < 0 || !f.open[top].streamed {
		return false, fmt.Errorf("RESP: an end marker and nothing to end")
	}
	attribute := f.open[top].attribute
	f.open = f.open[:top]
	return !attribute && f.value(), nil
}

// value notes that a value is complete, and reports whether the message is.
func (f *respFramer) value() (end bool) {
	for len(f.open) > 0 {
		top := &f.open[len(f.open)-1]
		if top.streamed {
			return false
		}
		if top.left--; top.left > 0 {
			return false
		}
		attribute := top.attribute
		f.open = f.open[:len(f.open)-1]
		if attribute {
			return false
		}
	}
	return true
}

// Args splits a request in RESP into its words: the command and its arguments. It
// returns nil for what is not a request.
func Args(request []byte) []string {
	line, rest, ok := bytes.Cut(request, []byte("\n"))
	if !ok {
		return nil
	}
	if len(line) == 0 || line[0] != '*' {
		return strings.Fields(string(line))
	}
	n, err := strconv.Atoi(string(bytes.TrimSpace(line[1:])))
	if err != nil || n <= 0 {
		return nil
	}
	var args []string
	for range n {
		line, rest, ok = bytes.Cut(rest, []byte("\r\n"))
		if !ok || len(line) == 0 || line[0] != '$' {
			return nil
		}
		size, err := strconv.Atoi(string(line[1:]))
		if err != nil || size < 0 || size+2 > len(rest) {
			return nil
		}
		args = append(args, string(rest[:size]))
		rest = rest[size+2:]
	}
	return args
}

// Command matches the requests in RESP whose first words are these: the command,
// in any case, and as many of its arguments as are given.
func Command(name string, args ...string) func(request []byte) bool {
	return func(request []byte) bool {
		got := Args(request)
		if len(got) <= len(args) || !strings.EqualFold(got[0], name) {
			return false
		}
		for i, arg := range args {
			if got[i+1] != arg {
				return false
			}
		}
		return true
	}
}

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
