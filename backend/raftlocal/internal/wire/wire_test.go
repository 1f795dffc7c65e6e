package wire

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

var someHello = Hello{Version: Version, Cluster: "orders", Role: Peer, Member: 3, Name: "c", To: 1}

var someWelcome = Welcome{
	Cluster: "orders", Member: 2, Name: "b", Leader: Member{1, "a", "10.0.0.1:7300"},
	Members: []Member{{1, "a", "10.0.0.1:7300"}, {2, "b", "10.0.0.2:7300"}, {3, "c", ""}},
}

var someCommands = []command.Command{
	{Op: command.Open, ID: command.SessionID{1, 15: 2}, TTL: time.Minute},
	{Session: 4711, Seq: 1, Lowest: 1, Op: command.Acquire, Key: "a/b", AttemptID: "o", Meta: "µ", TTL: time.Second, Wait: true},
	{Session: 4711, Seq: 2, Lowest: 1, Op: command.Release, Key: "a/b", AttemptID: "o", Claims: []uint64{1 << 63}},
	{Session: 4711, Seq: 3, Lowest: 2, Op: command.Renew, Claims: []uint64{1, 2, 300}},
	{Session: 4711, Seq: 4, Lowest: 2, Op: command.Inspect, Key: "k"},
	{Session: 4711, Seq: 5, Lowest: 2, Op: command.Nop},
}

var someAnswers = []command.Answer{
	{ID: command.SessionID{1}, Reply: command.Reply{Code: command.OK, Number: 4711}},
	{Session: 4711, Seq: 1, Reply: command.Reply{Code: command.Granted, Number: 7, Token: 1 << 60}},
	{Session: 4711, Seq: 3, Reply: command.Reply{Code: command.OK, Claims: []command.Claim{{Number: 1, Code: command.Granted, Token: 9}, {Number: 2, Code: command.Waiting}, {Number: 300, Code: command.NotHeld}}}},
	{Session: 4711, Seq: 4, Reply: command.Reply{Code: command.OK, Status: command.Status{Held: true, AttemptID: "o", Meta: "µ", Token: 9, Left: time.Second, Waiters: 3}}},
}

var somePushes = []command.Push{{Session: 4711, Claim: command.Claim{Number: 2, Code: command.Granted, Token: 10}}}

// next reads the only frame.
func next(t *testing.T, frames []byte, want Type) []byte {
	t.Helper()
	r := NewReader(bytes.NewReader(frames))
	kind, body, err := r.Next()
	if err != nil || kind != want {
		t.Fatalf("Next: %v, %v, want %v", kind, err, want)
	}
	body = bytes.Clone(body)
	if _, _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Fatalf("after the frame: %v, want io.EOF", err)
	}
	return body
}

func same[V any](t *testing.T, got V, err error, want V) {
	t.Helper()
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestFramesComeBack(t *testing.T) {
	hello, err := ParseHello(next(t, AppendHello(nil, someHello), TypeHello))
	same(t, hello, err, someHello)
	welcome, err := ParseWelcome(next(t, AppendWelcome(nil, someWelcome), TypeWelcome))
	same(t, welcome, err, someWelcome)
	leader, err := ParseMoved(next(t, AppendMoved(nil, someWelcome.Leader), TypeMoved))
	same(t, leader, err, someWelcome.Leader)
	same(t, ParseRefusal(next(t, AppendRefusal(nil, "no"), TypeRefusal)), nil, "no")
	session, err := ParseResume(next(t, AppendResume(nil, 1<<40), TypeResume))
	same(t, session, err, 1<<40)
	number, err := ParsePing(next(t, AppendPing(nil, 77), TypePing))
	same(t, number, err, 77)
	number, err = ParsePing(next(t, AppendPong(nil, 1<<63), TypePong))
	same(t, number, err, 1<<63)
	cmds, err := ParseCommands(next(t, AppendCommands(nil, someCommands), TypeCommands), nil)
	same(t, cmds, err, someCommands)
	answers, pushes, err := ParseAnswers(next(t, AppendAnswers(nil, someAnswers, somePushes), TypeAnswers), nil, nil)
	same(t, answers, err, someAnswers)
	same(t, pushes, err, somePushes)

	m := &raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), To: proto.Uint64(3), Commit: proto.Uint64(9)}
	frame, err := AppendRaft(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	var back raftpb.Message
	if err := ParseRaft(next(t, frame, TypeRaft), &back); err != nil || !proto.Equal(m, &back) {
		t.Errorf("got %v, %v, want %v", &back, err, m)
	}
	intro, err := AppendPeerHandshake(nil, []byte("{}"))
	same(t, string(next(t, intro, TypePeerHandshake)), err, "{}")
}

func TestHelloOfAnotherVersion(t *testing.T) {
	future := AppendHello(nil, Hello{Version: 2})
	body := append(next(t, future, TypeHello)[:1], "what nobody knows yet"...)
	if h, err := ParseHello(body); err != nil || h.Version != 2 {
		t.Errorf("a Hello of version 2: %+v, %v; its version must be told", h, err)
	}
}

// However the network cuts the stream, the frames are the same.
func TestReaderOfPieces(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		var stream []byte
		var want []string
		for range 30 {
			size := rnd.IntN(100)
			if rnd.IntN(8) == 0 {
				size = rnd.IntN(usual * 6)
			}
			body := strings.Repeat(string(rune('a'+rnd.IntN(26))), size)
			stream, _ = AppendPeerHandshake(stream, []byte(body))
			want = append(want, body)
		}
		for _, src := range []io.Reader{
			bytes.NewReader(stream),
			iotest.DataErrReader(bytes.NewReader(stream)),
			&pieces{bytes.NewReader(stream), rnd},
		} {
			r := NewReader(src)
			for i := range want {
				more := r.More()
				src := r.src
				if more {
					r.src = iotest.ErrReader(errors.New("read although a frame was there"))
				}
				_, body, err := r.Next()
				if err != nil || string(body) != want[i] {
					t.Fatalf("frame %d: %d bytes, %v, want %d", i, len(body), err, len(want[i]))
				}
				r.src = src
			}
			if _, _, err := r.Next(); !errors.Is(err, io.EOF) || r.More() {
				t.Fatalf("at the end: %v, want io.EOF", err)
			}
		}
	}
}

type pieces struct {
	src io.Reader
	rnd *rand.Rand
}

func (p *pieces) Read(b []byte) (int, error) {
	return p.src.Read(b[:min(len(b), 1+p.rnd.IntN(1000))])
}

func TestReaderRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		stream string
		want   error
	}{
		"a frame that is too long": {"\x00\x40\x00\x01\x01", ErrTooLong},
		"a length beyond all":      {"\xff\xff\xff\xff\x01", ErrTooLong},
		"a frame of nothing":       {"\x00\x00\x00\x00", ErrMalformed},
		"half a length":            {"\x00\x00", io.ErrUnexpectedEOF},
		"half a frame":             {"\x00\x00\x00\x09\x01", io.ErrUnexpectedEOF},
	} {
		if _, _, err := NewReader(strings.NewReader(c.stream)).Next(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	r := NewReader(bytes.NewReader(AppendRefusal(nil, "a long refusal")))
	r.Limit = 8
	if _, _, err := r.Next(); !errors.Is(err, ErrTooLong) {
		t.Errorf("a frame of more than Limit: %v", err)
	}
	if _, err := AppendPeerHandshake(nil, make([]byte, MaxFrame)); !errors.Is(err, ErrTooLong) {
		t.Errorf("appending a frame that is too long: %v", err)
	}
}

// An announced length costs the reader no memory until the bytes come.
func TestReaderIsNotFooled(t *testing.T) {
	r := NewReader(strings.NewReader("\x00\x40\x00\x00\x01"))
	_, _, _ = r.Next()
	if len(r.buf) > usual {
		t.Errorf("%d bytes were set aside for a frame that was announced", len(r.buf))
	}
}

func TestManyCommandsTakeSeveralFrames(t *testing.T) {
	many := make([]command.Command, 2000)
	answers := make([]command.Answer, len(many))
	pushes := make([]command.Push, 30_000)
	for i := range many {
		many[i] = command.Command{Session: 1, Seq: uint64(i + 1), Op: command.Acquire, Key: strings.Repeat("k", 1024), Meta: "m", TTL: 1}
		answers[i] = command.Answer{Session: 1, Seq: uint64(i + 1), Reply: command.Reply{Claims: make([]command.Claim, 100)}}
	}
	for i := range pushes {
		pushes[i] = command.Push{Session: uint64(i), Claim: command.Claim{Number: 1}}
	}
	r := NewReader(bytes.NewReader(AppendCommands(AppendAnswers(nil, answers, pushes), many)))
	var gotCommands []command.Command
	var gotAnswers []command.Answer
	var gotPushes []command.Push
	frames := 0
	for {
		kind, body, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		frames++
		if kind == TypeCommands {
			gotCommands, err = ParseCommands(body, gotCommands)
		} else {
			gotAnswers, gotPushes, err = ParseAnswers(body, gotAnswers, gotPushes)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if frames < 3 || !reflect.DeepEqual(gotCommands, many) || !reflect.DeepEqual(gotAnswers, answers) || !reflect.DeepEqual(gotPushes, pushes) {
		t.Errorf("%d frames had %d commands, %d answers, %d pushes, which are not those that were sent", frames, len(gotCommands), len(gotAnswers), len(gotPushes))
	}
}

func TestAssembly(t *testing.T) {
	whole := make([]byte, 3*MaxPart+5)
	for i := range whole {
		whole[i] = byte(i * 7 / 3)
	}
	parts := func(transfer uint64) (out []Part) {
		for at := 0; at < len(whole); at += MaxPart {
			p := Part{transfer, uint64(at), uint64(len(whole)), whole[at:min(at+MaxPart, len(whole))]}
			back, err := ParsePart(next(t, AppendPart(nil, p), TypeSnapshot))
			same(t, back, err, p)
			out = append(out, back)
		}
		return out
	}
	var a Assembly
	for transfer := range uint64(2) {
		for i, p := range parts(transfer) {
			got, err := a.Add(p)
			if err != nil || (got != nil) != (i == 3) || got != nil && !bytes.Equal(got, whole) {
				t.Fatalf("part %d: %d bytes, %v", i, len(got), err)
			}
		}
	}
	one, other := parts(3), parts(4)
	for _, bad := range [][]Part{{one[1]}, {one[0], one[2]}, {one[0], other[1]}, {one[0], one[0], one[2]}, {one[0], one[1], one[1]}, {{Total: 1 << 62, Data: []byte{1}}}} {
		var a Assembly
		var err error
		for _, p := range bad {
			if _, err = a.Add(p); err != nil {
				break
			}
		}
		if err == nil {
			t.Errorf("parts that do not follow each other were taken")
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(AppendHello(nil, someHello)[5:])
	f.Add(AppendWelcome(nil, someWelcome)[5:])
	f.Add(AppendCommands(nil, someCommands)[5:])
	f.Add(AppendAnswers(nil, someAnswers, somePushes)[5:])
	f.Add(AppendPart(nil, Part{1, 2, 3, []byte("x")})[5:])
	f.Fuzz(func(t *testing.T, body []byte) {
		_, _ = ParseHello(body)
		_, _ = ParseWelcome(body)
		_, _ = ParseMoved(body)
		_, _ = ParsePing(body)
		_, _ = ParseResume(body)
		_ = ParseRefusal(body)
		_, _ = ParsePart(body)
		_ = ParseRaft(body, new(raftpb.Message))
		if cmds, err := ParseCommands(body, nil); err == nil && len(cmds) > 0 {
			again, err := ParseCommands(AppendCommands(nil, cmds)[5:], nil)
			same(t, again, err, cmds)
		}
		if answers, pushes, err := ParseAnswers(body, nil, nil); err == nil {
			frames := AppendAnswers(nil, answers, pushes)
			if len(frames) == 0 {
				return
			}
			answers2, pushes2, err := ParseAnswers(frames[5:], nil, nil)
			same(t, answers2, err, answers)
			same(t, pushes2, err, pushes)
		}
	})
}

func FuzzReader(f *testing.F) {
	f.Add(AppendCommands(AppendHello(nil, someHello), someCommands))
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := NewReader(iotest.HalfReader(bytes.NewReader(stream)))
		for {
			if _, _, err := r.Next(); err != nil {
				return
			}
		}
	})
}

func BenchmarkCommands(b *testing.B) {
	cmds := make([]command.Command, 64)
	for i := range cmds {
		cmds[i] = someCommands[1]
		cmds[i].Seq = uint64(i)
	}
	var buf []byte
	var into []command.Command
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendCommands(buf[:0], cmds)
		var err error
		if into, err = ParseCommands(buf[5:], into[:0]); err != nil {
			b.Fatal(err)
		}
	}
}
