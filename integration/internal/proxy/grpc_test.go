package proxy

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// wire writes the frames of one side.
type wire struct {
	t      *testing.T
	buf    bytes.Buffer
	framer *http2.Framer
	block  bytes.Buffer
	hpack  *hpack.Encoder
}

func newWire(t *testing.T) *wire {
	t.Helper()
	w := &wire{t: t}
	w.framer = http2.NewFramer(&w.buf, nil)
	w.hpack = hpack.NewEncoder(&w.block)
	return w
}

// frame returns what a function has written.
func (w *wire) frame(write func() error) string {
	w.t.Helper()
	w.buf.Reset()
	if err := write(); err != nil {
		w.t.Fatal(err)
	}
	return w.buf.String()
}

// fields encodes headers. The second time they refer to the first.
func (w *wire) fields(pairs ...string) []byte {
	w.block.Reset()
	for i := 0; i < len(pairs); i += 2 {
		if err := w.hpack.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]}); err != nil {
			w.t.Fatal(err)
		}
	}
	return bytes.Clone(w.block.Bytes())
}

func (w *wire) call(stream uint32, method string) string {
	block := w.fields(":method", "POST", ":path", method, "content-type", "application/grpc", "te", "trailers")
	return w.frame(func() error {
		return w.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block, EndHeaders: true})
	})
}

func (w *wire) trailers(stream uint32) string {
	block := w.fields("grpc-status", "0")
	return w.frame(func() error {
		return w.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block, EndHeaders: true, EndStream: true})
	})
}

func (w *wire) data(stream uint32, bytes string) string {
	return w.frame(func() error { return w.framer.WriteData(stream, false, []byte(bytes)) })
}

func (w *wire) settings() string { return w.frame(func() error { return w.framer.WriteSettings() }) }

// grpcBytes is a gRPC message with its prefix.
func grpcBytes(payload string) string {
	return string(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(payload)))) + payload
}

const put, rng = "/etcdserverpb.KV/Put", "/etcdserverpb.KV/Range"

func TestHTTP2SplitAtEveryByte(t *testing.T) {
	w := newWire(t)
	replies := []string{
		w.settings(), w.frame(w.framer.WriteSettingsAck), w.trailers(1), w.data(1, grpcBytes("hello")), w.data(3, ""),
		w.frame(func() error { return w.framer.WritePing(true, [8]byte{1}) }),
		w.data(1, strings.Repeat("x", 300)),
	}
	for name, tc := range map[string]struct {
		frames []string
		framer func() Framer
	}{
		"requests": {append([]string{http2Preface}, replies...), GRPC().Requests},
		"replies":  {replies, GRPC().Replies},
	} {
		stream := strings.Join(tc.frames, "")
		for i := range len(stream) {
			if got := frames(t, tc.framer(), stream[:i], stream[i:]); !slices.Equal(got, tc.frames) {
				t.Fatalf("%s, split at %d: %q", name, i, got)
			}
		}
		if got := frames(t, tc.framer(), strings.Split(stream, "")...); !slices.Equal(got, tc.frames) {
			t.Fatalf("%s, byte by byte: %q", name, got)
		}
	}
}

// What another protocol begins with must be refused before it can be held back.
func TestHTTP2Refuses(t *testing.T) {
	for _, s := range []string{"\x16", "GET", "PRI * HTTP/1", "*1\r\n", "\x00"} {
		if _, _, err := GRPC().Requests().Feed([]byte(s)); err == nil {
			t.Errorf("%q was taken for a client's HTTP/2", s)
		}
	}
	for _, s := range []string{"\x16", "HTTP", "+", "\x00\x00\x02\x00"} {
		if _, _, err := GRPC().Replies().Feed([]byte(s)); err == nil {
			t.Errorf("%q was taken for a server's HTTP/2", s)
		}
	}
}

// calls is a session and both of its sides.
type calls struct {
	t              *testing.T
	session        Session
	client, server *wire
}

func startCalls(t *testing.T) *calls {
	t.Helper()
	c := &calls{t: t, session: GRPC(), client: newWire(t), server: newWire(t)}
	c.nothing(http2Preface)
	c.nothing(c.client.settings())
	return c
}

func (c *calls) nothing(frames ...string) {
	c.t.Helper()
	for _, f := range frames {
		if _, requests, err := c.session.Sent([]byte(f)); len(requests) > 0 || err != nil {
			c.t.Fatalf("Sent(%q) = %v, %v; want nothing", f, requests, err)
		}
	}
}

func (c *calls) silent(frames ...string) {
	c.t.Helper()
	for _, f := range frames {
		if messages, err := c.session.Received([]byte(f)); len(messages) > 0 || err != nil {
			c.t.Fatalf("Received(%q) = %v, %v; want nothing", f, messages, err)
		}
	}
}

// ask opens a call and sends its message.
func (c *calls) ask(stream uint32, method, payload string) *Request {
	c.t.Helper()
	c.nothing(c.client.call(stream, method))
	return sent(c.t, c.session, c.client.data(stream, grpcBytes(payload)))
}

// answer sends a message of the server and returns what it is taken for.
func (c *calls) answer(stream uint32, payload string) Message {
	c.t.Helper()
	return received(c.t, c.session, c.server.data(stream, grpcBytes(payload)))
}

func TestGRPCPairsByStream(t *testing.T) {
	c := startCalls(t)
	c.silent(c.server.settings())
	first := c.ask(1, put, "k1")
	second := c.ask(3, rng, "k2") // its headers refer to the first's
	third := c.ask(5, put, "")
	if m := c.answer(3, "v2"); m.To != second || m.Push || m.Glued || !Method(rng, "v2")(m.Bytes) {
		t.Errorf("the second call: %+v", m)
	}
	c.silent(c.server.trailers(3))
	if m := c.answer(1, "v1"); m.To != first || !Method(put, "v1")(m.Bytes) {
		t.Errorf("the first call: %+v", m)
	}
	c.silent(c.server.trailers(1))
	// An error has no message: the end is the answer.
	if m := received(t, c.session, c.server.trailers(5)); m.To != third || len(Payload(m.Bytes)) > 0 {
		t.Errorf("the third call: %+v", m)
	}
	c.silent(c.server.data(5, grpcBytes("late")))
}

func TestGRPCStreams(t *testing.T) {
	c := startCalls(t)
	const alive = "/etcdserverpb.Lease/LeaseKeepAlive"
	first := c.ask(1, alive, "a")
	second := sent(t, c.session, c.client.data(1, grpcBytes("b")))
	for i, want := range []*Request{first, second, nil} {
		if m := c.answer(1, "ok"); m.To != want || m.Push != (want == nil) {
			t.Errorf("answer %d: %+v", i, m)
		}
	}
}

// A message may span frames, and a frame hold several and the beginning of one.
func TestGRPCMessagesAndFrames(t *testing.T) {
	c := startCalls(t)
	c.nothing(c.client.call(1, put))
	stream := grpcBytes("one") + grpcBytes("") + grpcBytes("three")
	for i := 1; i < len(stream); i++ {
		var got []string
		for _, part := range []string{stream[:i], stream[i:]} {
			_, requests, err := c.session.Sent([]byte(c.client.data(1, part)))
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range requests {
				got = append(got, string(Payload(r.Bytes)))
			}
		}
		if !slices.Equal(got, []string{"one", "", "three"}) {
			t.Fatalf("split at %d: %q", i, got)
		}
	}
}

// Only a push that fills its frame may be swallowed.
func TestGRPCGlued(t *testing.T) {
	c := startCalls(t)
	c.ask(1, put, "k")
	c.answer(1, "v")
	whole := grpcBytes("push")
	for _, tc := range []struct {
		frames []string
		want   []bool // of each message
	}{
		{[]string{whole}, []bool{false}},
		{[]string{whole + whole}, []bool{true, true}},
		{[]string{whole[:3], whole[3:]}, []bool{true}},
		{[]string{whole + whole[:7], whole[7:]}, []bool{true, true}},
		{[]string{whole}, []bool{false}},
	} {
		var got []bool
		for _, f := range tc.frames {
			messages, err := c.session.Received([]byte(c.server.data(1, f)))
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range messages {
				got = append(got, m.Glued)
			}
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%q: glued %v, want %v", tc.frames, got, tc.want)
		}
	}
}

func TestGRPCOddFrames(t *testing.T) {
	c := startCalls(t)
	w := c.client
	// Headers in pieces, with padding and a priority.
	block := w.fields(":path", put, "content-type", "application/grpc+proto")
	c.nothing(w.frame(func() error {
		return w.framer.WriteHeaders(http2.HeadersFrameParam{
			StreamID: 1, BlockFragment: block[:5], PadLength: 7, Priority: http2.PriorityParam{Weight: 3},
		})
	}))
	c.nothing(w.frame(func() error { return w.framer.WriteContinuation(1, true, block[5:]) }))
	r := sent(t, c.session, w.frame(func() error {
		return w.framer.WriteDataPadded(1, true, []byte(grpcBytes("padded")), make([]byte, 9))
	}))
	if !Method(put, "padded")(r.Bytes) {
		t.Errorf("the request is %q", r.Bytes)
	}
	// The client cancels; an answer that is under way is still known.
	c.nothing(w.frame(func() error { return w.framer.WriteRSTStream(1, http2.ErrCodeCancel) }))
	if m := c.answer(1, "late"); m.To != r {
		t.Errorf("the late answer: %+v", m)
	}
	// What is not gRPC is no message.
	block = w.fields(":path", "/health", "content-type", "application/json")
	c.nothing(w.frame(func() error {
		return w.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: block, EndHeaders: true})
	}), w.data(3, "{}"))
	c.silent(c.server.data(3, "{}"))
	// A call that the server resets will not be answered otherwise.
	r = c.ask(5, put, "refused")
	reset := c.server.frame(func() error { return c.server.framer.WriteRSTStream(5, http2.ErrCodeRefusedStream) })
	if m := received(t, c.session, reset); m.To != r {
		t.Errorf("the reset: %+v", m)
	}
	c.silent(c.server.trailers(5))
}

func TestGRPCRefuses(t *testing.T) {
	for name, frame := range map[string]func(w *wire) string{
		"headers that are none": func(w *wire) string {
			return w.frame(func() error {
				return w.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0xff, 0xff, 0xff}, EndHeaders: true})
			})
		},
		"too much padding": func(*wire) string { return "\x00\x00\x01\x00\x08\x00\x00\x00\x01\x05" },
		"no padding":       func(*wire) string { return "\x00\x00\x00\x00\x08\x00\x00\x00\x01" },
		"no priority":      func(*wire) string { return "\x00\x00\x01\x01\x24\x00\x00\x00\x01\x05" },
	} {
		c := startCalls(t)
		if _, _, err := c.session.Sent([]byte(frame(c.client))); err == nil {
			t.Errorf("%s: taken for gRPC", name)
		}
	}
	c := startCalls(t)
	c.nothing(c.client.call(1, put))
	if _, _, err := c.session.Sent([]byte(c.client.data(1, "\x02\x00\x00\x00\x00"))); err == nil {
		t.Error("a message with a wrong prefix was taken for gRPC")
	}
}

func TestMethod(t *testing.T) {
	message := grpcMessage(put, []byte("\x0a\x03key\x12\x00"))
	for _, tc := range []struct {
		match func([]byte) bool
		want  bool
	}{
		{Method(put), true},
		{Method(put, "key", "\x12"), true},
		{Method(put, "key", "value"), false},
		{Method(put, "KV"), false},
		{Method(rng), false},
	} {
		if got := tc.match(message); got != tc.want {
			t.Errorf("got %v, want %v", got, tc.want)
		}
	}
	if MethodOf([]byte("no message")) != "" || MethodOf(message) != put || string(Payload(message)) != "\x0a\x03key\x12\x00" {
		t.Error("a message was taken apart wrongly")
	}
	for _, name := range []string{"", "KV/Put", "/Put", put + "/"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Method(%q) was accepted", name)
				}
			}()
			Method(name)
		}()
	}
}
