package session

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/go-zookeeper/zk"
)

// wired is a connection of a link, with the server's end of it. The test is go-zookeeper, which
// writes and reads by raw.
type wired struct {
	*rawConn
	t      *testing.T
	server net.Conn
	reads  chan string // packets that go-zookeeper has read
}

func newLink(auth bool) *Link {
	l := &Link{auth: auth}
	l.hosts = &hosts{link: l, history: newServerHistory()}
	_ = l.hosts.Init([]string{"a"})
	return l
}

// wire makes the next connection of a link.
func wire(t *testing.T, l *Link) *wired {
	client, server := net.Pipe()
	l.mu.Lock()
	l.raw = newRawConn(l, client, "a", l.handshake)
	w := &wired{rawConn: l.raw, t: t, server: server, reads: make(chan string, 100)}
	l.mu.Unlock()
	go func() {
		defer close(w.reads)
		for {
			var length [4]byte
			if _, err := io.ReadFull(w, length[:]); err != nil {
				return
			}
			packet := make([]byte, binary.BigEndian.Uint32(length[:]))
			if _, err := io.ReadFull(w, packet); err != nil {
				return
			}
			w.reads <- string(packet)
		}
	}()
	t.Cleanup(func() { _ = w.Close(); _ = server.Close() })
	return w
}

// say has go-zookeeper send a packet, and returns what comes to the server.
func (w *wired) say(packet []byte) []byte {
	w.t.Helper()
	go func() { _, _ = w.Write(framed(packet)) }()
	return w.heard()
}

// heard is the next packet that comes to the server.
func (w *wired) heard() []byte {
	w.t.Helper()
	var length [4]byte
	if _, err := io.ReadFull(w.server, length[:]); err != nil {
		w.t.Fatal(err)
	}
	packet := make([]byte, binary.BigEndian.Uint32(length[:]))
	if _, err := io.ReadFull(w.server, packet); err != nil {
		w.t.Fatal(err)
	}
	return packet
}

// tell sends what a server sends, in pieces.
func (w *wired) tell(bytes []byte, piece int) {
	w.t.Helper()
	for p := range slices.Chunk(bytes, piece) {
		if _, err := w.server.Write(p); err != nil {
			w.t.Fatal(err)
		}
	}
	synctest.Wait()
}

func framed(packet []byte) []byte { return append(appendInt(nil, int32(len(packet))), packet...) }

// connectRequest and connectResponse are the handshake.
func connectRequest(zxid int64) []byte {
	return append(binary.BigEndian.AppendUint64(appendInt(nil, 0), uint64(zxid)), make([]byte, 4+8+4+16)...)
}

func connectResponse() []byte {
	return append(binary.BigEndian.AppendUint64(appendInt(appendInt(nil, 0), 10_000), 1), append(appendInt(nil, 16), make([]byte, 16)...)...)
}

// reply is the answer to a request with a number.
func reply(xid int32, zxid int64, code int32, body []byte) []byte {
	return framed(append(appendInt(binary.BigEndian.AppendUint64(appendInt(nil, xid), uint64(zxid)), code), body...))
}

// greetedBy does the handshake.
func (w *wired) greetedBy() {
	w.t.Helper()
	w.say(connectRequest(0))
	w.tell(framed(connectResponse()), 100)
	if got := <-w.reads; got != string(connectResponse()) {
		w.t.Fatalf("go-zookeeper read %q", got)
	}
}

type ended struct {
	answer []zk.MultiResponse
	ok     bool
	err    error
}

func xidOf(packet []byte) int32 { return int32(binary.BigEndian.Uint32(packet)) }

// check sends a transaction of one operation, which the server gets, and returns its number.
func (w *wired) check(l *Link) (xid int32, result chan ended) {
	w.t.Helper()
	result = make(chan ended, 1)
	go func() {
		answer, ok, err := l.transact([]any{&zk.CheckVersionRequest{Path: "/a"}})
		result <- ended{answer, ok, err}
	}()
	return xidOf(w.heard()), result
}

var checked = appendHeader(appendHeader(nil, opCheck, false), -1, true)

// TestDirectAnswers: answers come to whom they are for, in whatever pieces, and an event is handled
// before an answer that the server has sent after it.
func TestDirectAnswers(t *testing.T) {
	for _, piece := range []int{1, 3, 7, 1000} {
		synctest.Test(t, func(t *testing.T) {
			l := newLink(false)
			w := wire(t, l)
			w.greetedBy()
			x, first := w.check(l)
			y, second := w.check(l)
			if x >= directly || y >= directly || x == y {
				t.Fatalf("numbers %d and %d", x, y)
			}
			w.say(append(appendInt(nil, 7), "list"...))
			event := reply(-1, -1, 0, []byte("event"))
			w.tell(event, piece)
			w.tell(slices.Concat(reply(x, 5, 0, checked), event, reply(7, 6, 0, []byte("children")), reply(y, 8, -101, nil), event), piece)
			if got := <-first; got.err != nil || !got.ok || len(got.answer) != 1 {
				t.Errorf("pieces of %d: %+v", piece, got)
			}
			if got := <-second; !errors.Is(got.err, zk.ErrNoNode) || !got.ok {
				t.Errorf("pieces of %d: %+v", piece, got)
			}
			theirs := string(reply(7, 6, 0, []byte("children"))[4:])
			for i, want := range []string{string(event[4:]), string(event[4:]), theirs, string(event[4:])} {
				if got := <-w.reads; got != want {
					t.Errorf("pieces of %d: packet %d for go-zookeeper is %q, want %q", piece, i, got, want)
				}
			}
			if l.zxid.Load() != 8 {
				t.Errorf("seen %d", l.zxid.Load())
			}
		})
	}
}

// TestEventComesBeforeTheAnswer: as long as go-zookeeper handles an event, no later answer is given.
func TestEventComesBeforeTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink(false)
		client, server := net.Pipe()
		l.raw = newRawConn(l, client, "a", l.handshake)
		w := &wired{rawConn: l.raw, t: t, server: server}
		defer w.Close()
		read := func(n int) {
			if _, err := io.ReadFull(w, make([]byte, n)); err != nil {
				t.Error(err)
			}
		}
		w.say(connectRequest(0))
		go func() { _, _ = server.Write(framed(connectResponse())) }()
		read(4 + len(connectResponse()))
		x, result := w.check(l)
		event := reply(-1, -1, 0, []byte("event"))
		go func() { _, _ = server.Write(append(event, reply(x, 5, 0, checked)...)) }()
		read(4)
		if n, err := w.Read(make([]byte, 1000)); n != len(event)-4 || err != nil {
			t.Errorf("read %d bytes of an event of %d: %v", n, len(event)-4, err)
		}
		synctest.Wait()
		select {
		case <-result:
			t.Error("the answer was there before the event was handled")
		default:
		}
		go func() { _, _ = w.Read(make([]byte, 1)) }()
		if got := <-result; got.err != nil {
			t.Error(got.err)
		}
		_ = w.Close()
	})
}

// TestDirectNeedsASession: nothing is sent before the server has granted the session, and knows the user.
func TestDirectNeedsASession(t *testing.T) {
	for _, auth := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l := newLink(auth)
			refused := func(when string) {
				t.Helper()
				if _, ok, err := l.transact([]any{&zk.CheckVersionRequest{Path: "/a"}}); ok || err != nil {
					t.Errorf("%s: sent: %v, %v", when, ok, err)
				}
			}
			refused("no connection")
			w := wire(t, l)
			refused("no session")
			w.say(connectRequest(0))
			refused("no answer")
			w.tell(framed(connectResponse()), 5)
			if auth {
				refused("no user")
				w.say(append(appendInt(appendInt(nil, 1), opSetAuth), "user"...))
				synctest.Wait()
			}
			x, result := w.check(l)
			w.tell(reply(x, 1, 0, checked), 5)
			if got := <-result; got.err != nil || !got.ok {
				t.Errorf("%+v", got)
			}
			if _, ok, _ := l.transact([]any{&zk.CreateTTLRequest{}}); ok {
				t.Error("an operation of an unknown kind was sent")
			}
			l.dropWrites()
			if _, _, err := l.transact([]any{&zk.CheckVersionRequest{Path: "/a"}}); Answered(err) || err == nil {
				t.Errorf("sent by a link that sends nothing more: %v", err)
			}
			refused("the connection has ended")
		})
	}
}

// TestDirectEnds: what has no answer when the connection ends, at whichever side, is not known to be done.
func TestDirectEnds(t *testing.T) {
	for what, end := range map[string]func(*Link, *wired){
		"the server hangs up":  func(_ *Link, w *wired) { _ = w.server.Close() },
		"go-zookeeper ends it": func(_ *Link, w *wired) { _ = w.Close() },
		"we end it":            func(l *Link, _ *wired) { l.refuse() },
		"nonsense":             func(_ *Link, w *wired) { w.tell(framed(appendInt(nil, directly-1))[:4+4], 100); _ = w.server.Close() },
		"a giant": func(_ *Link, w *wired) {
			w.tell(append(appendInt(nil, 1<<30), appendInt(nil, directly-1)...), 100)
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newLink(false)
			w := wire(t, l)
			w.greetedBy()
			_, first := w.check(l)
			_, second := w.check(l)
			end(l, w)
			for _, result := range []chan ended{first, second} {
				if got := <-result; !got.ok || got.err == nil || Answered(got.err) {
					t.Errorf("%s: %+v", what, got)
				}
			}
			if _, ok, _ := l.transact([]any{&zk.CheckVersionRequest{Path: "/a"}}); ok {
				t.Errorf("%s: sent afterwards", what)
			}
		})
	}
}

// TestDirectEndsWithoutAReader: go-zookeeper reads no more, and then ends the connection.
func TestDirectEndsWithoutAReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink(false)
		client, server := net.Pipe()
		l.raw = newRawConn(l, client, "a", l.handshake)
		l.raw.direct.allow()
		w := &wired{rawConn: l.raw, t: t, server: server}
		_, result := w.check(l)
		_ = w.Close()
		if got := <-result; !got.ok || got.err == nil || Answered(got.err) {
			t.Errorf("%+v", got)
		}
	})
}

// TestDirectTellsWhatItHasSeen: a server that lags behind an answer that go-zookeeper was not shown is
// told so, and what is asked of the watches begins there.
func TestDirectTellsWhatItHasSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink(false)
		w := wire(t, l)
		w.greetedBy()
		x, result := w.check(l)
		w.tell(reply(x, 50, 0, checked), 5)
		<-result
		_ = w.Close()

		seen := func(packet []byte, at int) int64 { return int64(binary.BigEndian.Uint64(packet[at:])) }
		w = wire(t, l)
		if got := seen(w.say(connectRequest(40)), 4); got != 50 {
			t.Errorf("the handshake says %d", got)
		}
		w.tell(framed(connectResponse()), 100)
		x, result = w.check(l)
		w.tell(reply(x, 60, 0, checked), 5)
		<-result
		watches := func(zxid int64) []byte {
			return append(binary.BigEndian.AppendUint64(appendInt(appendInt(nil, 3), opSetWatches), uint64(zxid)), make([]byte, 12)...)
		}
		if got := seen(w.say(watches(40)), 8); got != 50 { // what came between is still to be told
			t.Errorf("the watches are asked for since %d", got)
		}
		if got := seen(w.say(watches(55)), 8); got != 55 {
			t.Errorf("the watches are asked for since %d", got)
		}
		_ = w.Close()
		w = wire(t, l)
		if got := seen(w.say(connectRequest(70)), 4); got != 70 {
			t.Errorf("the handshake says %d", got)
		}
	})
}
