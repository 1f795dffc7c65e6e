package zookeeper_test

import (
	"encoding/binary"
	"io"
	"maps"
	"net"
	"sync"
	"time"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
)

// sessions are those that were opened through a proxy, with what it takes to speak in
// their names.
type sessions struct {
	mu        sync.Mutex
	passwords map[uint64][]byte // by id
}

// overhear notes each session that the server accepts.
func overhear(p *proxy.Proxy) *sessions {
	s := &sessions{passwords: make(map[uint64][]byte)}
	p.LoseReplyIf(func(_ int, r proxy.Reply) bool {
		if proxy.ZKOpOf(r.Request) == "connect" {
			s.note(r.Bytes)
		}
		return false
	})
	return s
}

// note reads a ConnectResponse: version, timeout, id, and the password with its
// length.
func (s *sessions) note(packet []byte) {
	const before = 4 + 4
	if len(packet) < before+8+4+16 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if id := binary.BigEndian.Uint64(packet[before:]); id != 0 {
		s.passwords[id] = append([]byte(nil), packet[before+8+4:][:16]...)
	}
}

// link is how a client reaches one server.
type link struct {
	proxy    *proxy.Proxy
	sessions *sessions
	addr     string // of the server
}

// linkTo puts a proxy before a server.
func linkTo(t locktest.T, addr string) *link {
	p := through(t, addr)
	return &link{p, overhear(p), addr}
}

// killSessions ends every session of a client, as if it had expired: from a connection
// of our own, which goes on with the session and closes it.
//
// The client loses its connection to ours, and would take the session back at once. A
// server that is told to move a session and to close it, both at the same time, may
// leave a connection open whose session is no more. So the client is not heard meanwhile.
func killSessions(t locktest.T, links ...*link) {
	t.Helper()
	for _, l := range links {
		l.proxy.Pause(proxy.ToServer)
		defer l.proxy.Resume(proxy.ToServer)
	}
	killed := 0
	for _, l := range links {
		l.sessions.mu.Lock()
		all := maps.Clone(l.sessions.passwords)
		l.sessions.mu.Unlock()
		for id, password := range all {
			var err error // at first, if the client was just taking it back
			ended := false
			for end := time.Now().Add(5 * time.Second); !ended && time.Now().Before(end); {
				ended, err = closeSession(l.addr, id, password)
			}
			if !ended {
				t.Errorf("closing session %#x: %v", id, err)
			}
			killed++
		}
	}
	if killed == 0 {
		t.Errorf("no session was overheard")
	}
}

// closeSession asks to go on with a session and to close it, in one go, and reports
// whether the server says that it is no more.
func closeSession(addr string, id uint64, password []byte) (ended bool, err error) {
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return false, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))

	connect := make([]byte, 4+8) // the version, and the last zxid that was seen
	connect = binary.BigEndian.AppendUint32(connect, 5000)
	connect = binary.BigEndian.AppendUint64(connect, id)
	connect = binary.BigEndian.AppendUint32(connect, uint32(len(password)))
	connect = append(connect, password...)
	const number, closing = 1, 0xfffffff5 // -11
	goodbye := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, number), closing)
	if _, err := c.Write(append(packet(connect), packet(goodbye)...)); err != nil {
		return false, err
	}
	answer, err := read(c)
	if err != nil {
		return false, err
	}
	if binary.BigEndian.Uint64(answer[8:]) == 0 {
		return true, nil
	}
	_, err = read(c)
	return err == nil, err
}

func packet(content []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(content))), content...)
}

func read(c net.Conn) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		return nil, err
	}
	content := make([]byte, binary.BigEndian.Uint32(length[:]))
	_, err := io.ReadFull(c, content)
	return content, err
}
