package server

import (
	"net"
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

// maxTogether is how many commands of one connection are passed on at once.
const maxTogether = 4096

// client is a connection of a client. What it is to be told is put into a buffer; a goroutine of
// its own writes all that is there at once.
type client struct {
	conn net.Conn
	wake chan struct{} // has an element when there is something to write

	mu   sync.Mutex
	out  []byte
	last bool // what is in out is the last
	cut  bool // nothing more can be told
}

// serveClient reads commands until the connection ends.
func (s *Server) serveClient(c, raw net.Conn, r *wire.Reader, number member.Conn) {
	cl := &client{conn: c, wake: make(chan struct{}, 1)}
	s.linger(raw)
	_ = c.SetDeadline(time.Time{}) // an error shows at the next call
	written := make(chan struct{})
	go func() {
		defer close(written)
		cl.write()
	}()
	cl.tell(func(b []byte) []byte { return append(b, s.clientGreeting()...) })
	s.admit(cl)
	defer s.dismissed(cl)
	s.inbox.fromClient(1, func(m *member.Member) {
		s.loop.clients[number] = cl
		m.Clients.Attach(number, 0)
	})
	s.readClient(cl, r, number)
	s.inbox.fromClient(0, func(m *member.Member) {
		delete(s.loop.clients, number)
		m.Clients.Detach(number)
	})
	cl.end(nil)
	<-written
}

// readClient passes on what a client sends: all that is there at once.
func (s *Server) readClient(cl *client, r *wire.Reader, number member.Conn) {
	var cmds []command.Command
	weight := 0
	for {
		t, body, err := r.Next()
		if err != nil {
			return
		}
		switch t {
		case wire.TypeCommands:
			if cmds, err = wire.ParseCommands(body, cmds); err != nil {
				cl.end(func(b []byte) []byte { return wire.AppendRefusal(b, err.Error()) })
				return
			}
			weight += len(body)
		case wire.TypeResume:
			session, err := wire.ParseResume(body)
			if err != nil {
				return
			}
			s.inbox.fromClient(1, func(m *member.Member) { m.Clients.Attach(number, session) })
		case wire.TypePing:
			n, err := wire.ParsePing(body)
			if err != nil {
				return
			}
			cl.tell(func(b []byte) []byte { return wire.AppendPong(b, n) })
		default:
			cl.end(func(b []byte) []byte { return wire.AppendRefusal(b, "a client does not say "+t.String()) })
			return
		}
		if len(cmds) == 0 || r.More() && len(cmds) < maxTogether {
			continue
		}
		together := cmds
		s.inbox.fromClient(weight, func(m *member.Member) { m.Clients.Submit(number, together) })
		cmds, weight = make([]command.Command, 0, min(2*len(cmds), maxTogether)), 0
	}
}

// tell appends something to what is written next. A client that does not read is cut off.
func (cl *client) tell(add func([]byte) []byte) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.last || cl.cut {
		return
	}
	cl.out = add(cl.out)
	if len(cl.out) > maxUnread {
		cl.cut, cl.out = true, nil
		_ = cl.conn.Close() // the reader sees that
	}
	cl.woken()
}

// end tells a last thing, and closes the connection when it is written.
func (cl *client) end(add func([]byte) []byte) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if !cl.last && !cl.cut && add != nil {
		cl.out = add(cl.out)
	}
	cl.last = true
	cl.woken()
}

func (cl *client) woken() {
	select {
	case cl.wake <- struct{}{}:
	default: // it is awake
	}
}

// write writes until the last thing is written.
func (cl *client) write() {
	defer func() { _ = cl.conn.Close() }() // what was to be written was, or cannot be
	var spare []byte
	for range cl.wake {
		cl.mu.Lock()
		out, last := cl.out, cl.last || cl.cut
		cl.out = spare[:0]
		cl.mu.Unlock()
		if len(out) > 0 {
			_ = cl.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
			if _, err := cl.conn.Write(out); err != nil {
				last = true
			}
		}
		if last {
			cl.mu.Lock()
			cl.cut, cl.out = true, nil
			cl.mu.Unlock()
			return
		}
		if spare = out; cap(spare) > 1<<20 {
			spare = nil // a large one is rare
		}
	}
}
