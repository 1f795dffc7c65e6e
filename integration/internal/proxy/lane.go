package proxy

import (
	"bytes"
	"errors"
	"net"
	"syscall"
	"time"
)

// lane is one direction of a connection. A goroutine reads and sorts what arrives,
// another delivers it when its time has come, in order.
type lane struct {
	conn     *conn
	dir      Direction
	src, dst *net.TCPConn
	framer   Framer // nil where messages are not told apart
	partial  []byte // the beginning of a message that is not complete
	queue    chan parcel
}

// parcel is bytes on their way, or the end of the stream.
type parcel struct {
	bytes   []byte
	arrived time.Time
	fault   *Fault // that has chosen this message
	end     bool   // nothing follows
	abort   bool   // the end was a reset
}

// inTransit bounds the parcels under way in one lane: then the sender feels the
// back pressure of a full pipe.
const inTransit = 256

func newLane(c *conn, dir Direction, src, dst *net.TCPConn) *lane {
	return &lane{conn: c, dir: dir, src: src, dst: dst, queue: make(chan parcel, inTransit)}
}

// read takes what arrives until the stream ends.
func (l *lane) read() {
	buf := make([]byte, 32<<10)
	for {
		n, err := l.src.Read(buf)
		if n > 0 {
			for _, p := range l.sort(buf[:n]) {
				if !l.enqueue(p) {
					return
				}
			}
		}
		if err != nil {
			if len(l.partial) > 0 && !l.enqueue(parcel{bytes: l.partial}) {
				return
			}
			// Only the server's reset is passed on as one. The client's becomes a
			// plain close, which lets what it sent before still arrive.
			abort := l.dir == ToClient && errors.Is(err, syscall.ECONNRESET)
			l.enqueue(parcel{end: true, abort: abort})
			return
		}
	}
}

func (l *lane) enqueue(p parcel) bool {
	p.arrived = time.Now()
	select {
	case l.queue <- p:
		return true
	case <-l.conn.ctx.Done():
		return false
	}
}

// sort cuts data into messages and puts those to which nothing is to happen
// together.
func (l *lane) sort(data []byte) []parcel {
	l.conn.countBytes(l.dir, len(data))
	var parcels []parcel
	var plain []byte
	flush := func() {
		if len(plain) > 0 {
			parcels = append(parcels, parcel{bytes: plain})
			plain = nil
		}
	}
	for len(data) > 0 && l.framer != nil {
		n, end, err := l.framer.Feed(data)
		if err != nil {
			l.conn.unframed()
			l.framer = nil
			break
		}
		l.partial = append(l.partial, data[:n]...)
		data = data[n:]
		if !end {
			break
		}
		message := l.partial
		l.partial = nil
		fault := l.conn.inspect(l.dir, message)
		if fault == nil {
			plain = append(plain, message...)
			continue
		}
		flush()
		parcels = append(parcels, parcel{bytes: message, fault: fault})
	}
	if l.framer == nil {
		plain = append(append(plain, l.partial...), bytes.Clone(data)...)
		l.partial = nil
	}
	flush()
	return parcels
}
