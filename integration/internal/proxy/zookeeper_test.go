package proxy

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

// zkNumbers are the operations by name.
var zkNumbers = func() map[string]int32 {
	numbers := map[string]int32{}
	for n, name := range zkOps {
		numbers[name] = n
	}
	return numbers
}()

// zkPacket is a packet with its length in front: numbers of four bytes each, and
// strings with their length.
func zkPacket(fields ...any) string {
	var b []byte
	for _, f := range fields {
		switch f := f.(type) {
		case int:
			b = binary.BigEndian.AppendUint32(b, uint32(f))
		case int64:
			b = binary.BigEndian.AppendUint64(b, uint64(f))
		case byte:
			b = append(b, f)
		case string:
			b = binary.BigEndian.AppendUint32(b, uint32(len(f)))
			b = append(b, f...)
		}
	}
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(b)))) + string(b)
}

func zkRequest(xid int, op string, args ...any) string {
	return zkPacket(append([]any{xid, int(zkNumbers[op])}, args...)...)
}

func zkReply(xid int, results ...any) string {
	return zkPacket(append([]any{xid, int64(77), 0}, results...)...)
}

var (
	zkConnectRequest  = zkPacket(0, int64(1)<<32, 30000, int64(0), strings.Repeat("\x00", 16))
	zkConnectResponse = zkPacket(0, 30000, int64(9), strings.Repeat("p", 16))
	zkEvent           = zkPacket(zkWatchEvent, int64(-1), 0, 2, 3, "/locks/a")
)

func TestZooKeeperSplitAtEveryByte(t *testing.T) {
	packets := []string{
		zkConnectRequest, zkRequest(1, "create", "/a", "data"), zkRequest(-2, "ping"), zkPacket(),
		zkRequest(2, "getData", "/"+strings.Repeat("x", 300), byte(1)), zkEvent,
	}
	stream := strings.Join(packets, "")
	for i := range len(stream) {
		if got := frames(t, &zkFramer{}, stream[:i], stream[i:]); !slices.Equal(got, packets) {
			t.Fatalf("split at %d: %q", i, got)
		}
	}
	if got := frames(t, &zkFramer{}, strings.Split(stream, "")...); !slices.Equal(got, packets) {
		t.Fatalf("byte by byte: %q", got)
	}
}

// What another protocol begins with must be refused at its first byte: what is
// waited for is held back.
func TestZooKeeperRefuses(t *testing.T) {
	for _, s := range []string{"\x16", "ruok", "+", "-", "*", "$", ":", "H", "\x04"} {
		if _, _, err := (&zkFramer{}).Feed([]byte(s)); err == nil {
			t.Errorf("%q was taken for ZooKeeper", s)
		}
	}
	s := ZooKeeper()
	if _, _, err := s.Sent([]byte(zkConnectRequest)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Sent([]byte(zkPacket(1))); err == nil {
		t.Error("a request without an operation was taken")
	}
}

// sent and received drive a session; what they return is what the proxy goes by.
func sent(t *testing.T, s Session, frame string) *Request {
	t.Helper()
	_, requests, err := s.Sent([]byte(frame))
	if err != nil || len(requests) != 1 {
		t.Fatalf("Sent(%q) = %v, %v", frame, requests, err)
	}
	return requests[0]
}

func received(t *testing.T, s Session, frame string) Message {
	t.Helper()
	messages, err := s.Received([]byte(frame))
	if err != nil || len(messages) != 1 {
		t.Fatalf("Received(%q) = %v, %v", frame, messages, err)
	}
	return messages[0]
}

func TestZooKeeperPairsByNumber(t *testing.T) {
	s := ZooKeeper()
	connect := sent(t, s, zkConnectRequest)
	auth := sent(t, s, zkRequest(-4, "auth", 0, "digest", "u:p"))
	create := sent(t, s, zkRequest(1, "create", "/a", "d"))
	ping := sent(t, s, zkRequest(-2, "ping"))
	again := sent(t, s, zkRequest(-2, "ping"))
	list := sent(t, s, zkRequest(2, "getChildren2", "/a", byte(0)))
	for _, tc := range []struct {
		what, frame string
		want        *Request
	}{
		{"ConnectResponse", zkConnectResponse, connect},
		{"pong", zkReply(-2), ping},
		{"create", zkReply(1, "/a"), create},
		{"event", zkEvent, nil},
		{"auth", zkReply(-4), auth},
		{"children", zkReply(2, 0), list},
		{"second pong", zkReply(-2), again},
		{"unasked", zkReply(2, 0), nil},
	} {
		m := received(t, s, tc.frame)
		if m.To != tc.want || m.Push != (tc.what == "event") || m.Glued {
			t.Errorf("%s: %+v, want it to answer %p", tc.what, m, tc.want)
		}
		if string(m.Bytes) != tc.frame[4:] {
			t.Errorf("%s: shown as %q", tc.what, m.Bytes)
		}
	}
}

func TestZooKeeperRequests(t *testing.T) {
	multi := zkRequest(5, "multi", int(zkNumbers["delete"]), byte(0), -1, "/locks/a/1", 3, -1, byte(1), -1)
	for _, tc := range []struct{ request, op, path string }{
		{zkRequest(1, "create", "/a", "data"), "create", "/a"},
		{zkRequest(1, "createContainer", "/c", "data"), "createContainer", "/c"},
		{zkRequest(1, "exists", "/é b", byte(1)), "exists", "/é b"},
		{zkRequest(1, "sync", "/locks"), "sync", "/locks"},
		{multi, "multi", "/locks/a/1"},
		{zkRequest(5, "multi", -1, byte(1), -1), "multi", ""},
		{zkRequest(5, "multi"), "multi", ""},
		{zkRequest(-2, "ping"), "ping", ""},
		{zkRequest(-4, "auth", 0, "digest", "u:p"), "auth", ""},
		{zkRequest(-8, "setWatches", int64(1), 0, 0, 0), "setWatches", ""},
		{zkRequest(9, "closeSession"), "closeSession", ""},
		{zkRequest(1, "delete", -1), "delete", ""},
		{zkRequest(1, "delete", 99), "delete", ""},
		{zkRequest(1, "delete"), "delete", ""},
		{zkPacket(1, 9999, "/a"), "", ""},
		{zkPacket(1), "", ""},
	} {
		request := []byte(tc.request[4:])
		if op, path := ZKOpOf(request), ZKPath(request); op != tc.op || path != tc.path {
			t.Errorf("%q is %q of %q, want %q of %q", request, op, path, tc.op, tc.path)
		}
		if got := ZKOp("sync", "multi")(request); got != (tc.op == "sync" || tc.op == "multi") {
			t.Errorf("ZKOp matches %q: %v", request, got)
		}
	}
}

// The number and the operation of a ConnectRequest would be read out of what the
// client saw last: here that of a create.
func TestZooKeeperConnectIsNoOtherRequest(t *testing.T) {
	r := sent(t, ZooKeeper(), zkConnectRequest)
	if op := ZKOpOf(r.Bytes); op != "connect" || ZKPath(r.Bytes) != "" || !ZKOp("connect")(r.Bytes) {
		t.Errorf("a ConnectRequest is taken for %q", op)
	}
}

func TestZKOpNamesAnOperation(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("an operation that does not exist was accepted")
		}
	}()
	ZKOp("create", "crate")
}
