package session

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// listen accepts connections, each of which handle gets. It counts them.
func listen(t *testing.T, handle func(net.Conn)) (addr string, accepted *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	accepted = new(atomic.Int64)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			go func() {
				defer c.Close()
				handle(c)
			}()
		}
	}()
	return l.Addr().String(), accepted
}

func hangUp(net.Conn) {}

// slowly is a server that needs so long to grant a session.
func slowly(d time.Duration) func(net.Conn) {
	return func(c net.Conn) {
		time.Sleep(d)
		greet(c)
	}
}

func sayNothing(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// greet is a server that gives a session and answers every request with success and nothing.
func greet(c net.Conn) {
	in := bufio.NewReader(c)
	for first := true; ; first = false {
		var length [4]byte
		if _, err := io.ReadFull(in, length[:]); err != nil {
			return
		}
		request := make([]byte, binary.BigEndian.Uint32(length[:]))
		if _, err := io.ReadFull(in, request); err != nil {
			return
		}
		var answer []byte
		if first {
			answer = binary.BigEndian.AppendUint32(nil, 0)         // version
			answer = binary.BigEndian.AppendUint32(answer, 40_000) // timeout, ms
			answer = binary.BigEndian.AppendUint64(answer, 1)      // session
			answer = binary.BigEndian.AppendUint32(answer, 16)     // password
			answer = append(answer, make([]byte, 16)...)
		} else {
			answer = append(answer, request[:4]...) // number
			answer = append(answer, make([]byte, 8+4+68)...)
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(answer))), answer...)); err != nil {
			return
		}
	}
}

// nobody keeps nothing on a session.
type nobody struct{}

func (nobody) Died()               {}
func (nobody) Changed(any, bool)   {}
func (nobody) Look() time.Duration { return idleSleep }
func (nobody) Holds() bool         { return false }

func poolOn(hosts ...string) *Pool {
	return NewPool(Config{Hosts: hosts, Root: "/ns", Keeper: func(*Session) Keeper { return nobody{} }})
}

// begin begins a session with one of the servers.
func begin(t *testing.T, p *Pool, ttl, timeout time.Duration) *Session {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	s, err := p.beginLocked(ttl, timeout)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sessionOn waits for it.
func sessionOn(t *testing.T, p *Pool, ttl time.Duration) (time.Duration, error) {
	t.Helper()
	began := time.Now()
	err := begin(t, p, ttl, ttl).firstContact(t.Context())
	return time.Since(began), err
}

// TestSilentServer: one of two that never answers, or hangs up, costs a moment, once, whichever
// comes first.
func TestSilentServer(t *testing.T) {
	for what, handle := range map[string]func(net.Conn){"silent": sayNothing, "hangs up": hangUp} {
		good, _ := listen(t, greet)
		bad, asked := listen(t, handle)
		for round := 0; round < 4 || asked.Load() == 0 && round < 100; round++ { // the order is by chance
			b := poolOn(bad, good)
			if took, err := sessionOn(t, b, 20*time.Second); err != nil || took > 3*time.Second {
				t.Errorf("%s: a session after %v: %v", what, took, err)
			}
			before := asked.Load()
			for ttl := range 5 {
				if _, err := sessionOn(t, b, time.Duration(21+ttl)*time.Second); err != nil {
					t.Errorf("%s: another session: %v", what, err)
				}
			}
			if n := asked.Load() - before; n != 0 {
				t.Errorf("%s: it was asked %d times more, although the other answers", what, n)
			}
			b.Close()
		}
		if asked.Load() == 0 {
			t.Errorf("%s: it was never asked: nothing is tested", what)
		}
	}
}

// TestSlowServer: all servers are slower than the first of several has time; Open does not give
// up for that.
func TestSlowServer(t *testing.T) {
	slow, _ := listen(t, slowly(2*firstAnswer))
	also, _ := listen(t, slowly(3*firstAnswer))
	hung, _ := listen(t, hangUp)
	mute, _ := listen(t, sayNothing)
	for _, hosts := range [][]string{{slow, also}, {slow, hung}, {slow, "127.0.0.1:1"}, {slow, mute}} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			b := poolOn(hosts...)
			if took, err := sessionOn(t, b, 40*time.Second); err != nil {
				t.Errorf("%q: no session after %v: %v", hosts, took, err)
			} else {
				t.Logf("after %v", took)
			}
			b.Close()
		})
	}
}

// TestCloseIsPrompt: whatever the servers do.
func TestCloseIsPrompt(t *testing.T) {
	good, _ := listen(t, greet)
	mute, _ := listen(t, sayNothing)
	for what, host := range map[string]string{"answers": good, "silent": mute, "refuses": "127.0.0.1:1"} {
		for _, wait := range []time.Duration{0, 50 * time.Millisecond, 300 * time.Millisecond} {
			b := poolOn(host)
			begin(t, b, time.Second, time.Minute)
			time.Sleep(wait)
			began := time.Now()
			b.Close()
			ended := make(chan struct{})
			go func() { b.running.Wait(); close(ended) }()
			select {
			case <-ended:
			case <-time.After(10 * time.Second):
				t.Errorf("%s, after %v: something still runs", what, wait)
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("%s, after %v: Close took %v", what, wait, took)
			}
		}
	}
}

// TestStanding: who answered comes first, who did not comes last, for a while.
func TestStanding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServerHistory()
		h := &hosts{link: &Link{}, history: s}
		_ = h.Init([]string{"a", "b", "c"})
		expect := func(want string) {
			t.Helper()
			if got := strings.Join(h.order(), ""); got != want {
				t.Errorf("order %s, want %s", got, want)
			}
		}
		h.Next()
		expect("abc")
		s.note("c", true)
		s.note("a", false)
		expect("cba")
		s.broke("c")
		expect("bca")
		h.Next()
		expect("bca")
		h.failed("b")
		if others, _ := h.others("c"); !others {
			t.Error("a was not tried yet")
		}
		h.wasSlow("a")
		expect("cab")
		if _, slow := h.others("a"); slow != 1 || h.exhausted() {
			t.Error("a had too little time to be given up")
		}
		h.failed("c")
		h.failed("a")
		if others, _ := h.others("a"); others || !h.exhausted() {
			t.Error("all were tried")
		}
		if _, pause := h.Next(); !pause || !h.exhausted() {
			t.Error("a round in vain ends with a pause")
		}
		if _, pause := h.Next(); pause {
			t.Error("a second pause")
		}
		time.Sleep(demotedFor + time.Second)
		h.Connected()
		if h.exhausted() {
			t.Error("one has answered")
		}
		h.Next()
		expect("bca") // by turns: all have the same standing again
	})
}
