package server

import (
	"net"
	"sync"
	"time"
)

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
