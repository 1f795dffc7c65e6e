package proxy

import (
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
	framer   Framer   // nil where frames are not told apart
	partial  []byte   // the beginning of a frame that is not complete
	waiting  []parcel // that are not under way: the first begins a request that is not complete
	queue    chan parcel
}

// parcel is bytes on their way, or the end of the stream.
type parcel struct {
	bytes   []byte
	arrived time.Time
	fault   *Fault   // that happens here
	ends    *Fault   // that has chosen a message that ends here
	begins  *Request // that ends later
	end     bool     // nothing follows
	abort   bool     // the end was a reset
}

// inTransit bounds the parcels under way in one lane: then the sender feels the
// back pressure of a full pipe.
const inTransit = 256

func newLane(c *conn, dir Direction, src, dst *net.TCPConn) *lane {
	return &lane{conn: c, dir: dir, src: src, dst: dst, queue: make(chan parcel, inTransit)}
}

// read takes what arrives until the stream ends.
func (l *lane) read() {
	if l.dir == ToClient {
		defer close(l.conn.silent)
	}
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
			l.framer = nil // what is incomplete remains so
			for _, p := range l.sort(nil) {
				if !l.enqueue(p) {
					return
				}
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

// sort cuts data into frames and returns what may go on its way. Those to which
// nothing is to happen are put together.
func (l *lane) sort(data []byte) []parcel {
	l.conn.countBytes(l.dir, len(data))
	var plain []byte
	add := func(p parcel) {
		if len(plain) > 0 {
			l.waiting = append(l.waiting, parcel{bytes: plain})
			plain = nil
		}
		if len(p.bytes) > 0 {
			l.waiting = append(l.waiting, p)
		}
	}
	for len(data) > 0 && l.framer != nil {
		n, end, err := l.framer.Feed(data)
		if err != nil {
			l.unframed()
			break
		}
		l.partial = append(l.partial, data[:n]...)
		data = data[n:]
		if !end {
			break
		}
		frame := l.partial
		l.partial = nil
		v, err := l.conn.inspect(l.dir, frame)
		if err != nil {
			l.unframed()
		}
		switch {
		case v.begun != nil:
			add(parcel{bytes: frame, begins: v.begun})
		case v.fault == nil:
			plain = append(plain, frame...)
		default:
			add(l.strike(parcel{bytes: frame}, v))
		}
	}
	if l.framer == nil {
		plain = append(append(plain, l.partial...), data...)
		l.partial = nil
	}
	add(parcel{})
	return l.ready()
}

// unframed gives up telling frames apart, and with them messages, both ways: the
// other lane's are not looked at any more.
func (l *lane) unframed() {
	l.framer = nil
	l.conn.unframed()
}
