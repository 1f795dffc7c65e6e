package proxy

import (
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// proto is a protobuf message: field numbers, each with an int or a string.
func proto(fields ...any) string {
	var b []byte
	for i := 0; i < len(fields); i += 2 {
		number := protowire.Number(fields[i].(int))
		switch v := fields[i+1].(type) {
		case int:
			b = protowire.AppendTag(b, number, protowire.VarintType)
			b = protowire.AppendVarint(b, uint64(v))
		case string:
			b = protowire.AppendTag(b, number, protowire.BytesType)
			b = protowire.AppendString(b, v)
		}
	}
	return string(b)
}

func TestEtcdWatch(t *testing.T) {
	c := startCalls(t)
	header := proto(1, 99, 3, 1234)
	ask := func(request string) *Request { return sent(t, c.session, c.client.data(1, grpcBytes(request))) }
	first := c.ask(1, etcdWatch, proto(watchCreate, proto(1, "a")))
	second := ask(proto(watchCreate, proto(1, "b", 3, 77)))
	progress := ask(proto(watchProgress, ""))
	third := ask(proto(watchCreate, proto(1, "forbidden")))
	cancelZero := ask(proto(watchCancel, ""))
	cancelUnknown := ask(proto(watchCancel, proto(cancelID, 55)))
	cancelOne := ask(proto(watchCancel, proto(cancelID, 1)))
	for _, tc := range []struct {
		what, response string
		want           *Request
	}{
		{"the first is created", proto(1, header, watchCreated, 1), first},
		{"an event", proto(1, header, watchEvents, proto(2, "x")), nil},
		{"the second is created", proto(1, header, watchID, 1, watchCreated, 1), second},
		{"an event of the second", proto(1, header, watchID, 1, watchEvents, "x", watchEvents, "y"), nil},
		{"a notice of progress that was not asked for", proto(1, header, watchID, 1), nil},
		{"progress", proto(1, header, watchID, -1), progress},
		{"the server ends the third watch's neighbour", proto(1, header, watchID, 3, watchCanceled, 1, 5, 700), nil},
		{"the second is canceled", proto(1, header, watchID, 1, watchCanceled, 1), cancelOne},
		{"the third is refused", proto(1, header, watchID, -1, watchCreated, 1, watchCanceled, 1, 6, "no"), third},
		{"the first is canceled", proto(1, header, watchCanceled, 1), cancelZero},
		{"progress again", proto(1, header, watchID, -1), nil},
	} {
		if m := c.answer(1, tc.response); m.To != tc.want || m.Push != (tc.want == nil) {
			t.Errorf("%s: %+v", tc.what, m)
		}
	}
	if m := received(t, c.session, c.server.trailers(1)); m.To != cancelUnknown {
		t.Errorf("the end: %+v", m)
	}
}

func TestProtoField(t *testing.T) {
	fixed := protowire.AppendFixed64(protowire.AppendTag(nil, 7, protowire.Fixed64Type), 5)
	message := proto(1, "one", 2, 300, 1, "again") + string(fixed) + proto(9, 9)
	if data, _, ok := protoField([]byte(message), 1); !ok || string(data) != "one" {
		t.Errorf("field 1 is %q, %v", data, ok)
	}
	if _, value, ok := protoField([]byte(message), 2); !ok || value != 300 {
		t.Errorf("field 2 is %d, %v", value, ok)
	}
	if _, value, ok := protoField([]byte(message), 9); !ok || value != 9 {
		t.Errorf("field 9 is %d, %v", value, ok)
	}
	for _, broken := range []string{"", "\xff", "\x0a\x05ab", "\x10", "\x0f"} {
		if _, _, ok := protoField([]byte(broken), 1); ok {
			t.Errorf("%q has a field", broken)
		}
	}
}
