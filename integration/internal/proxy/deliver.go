package proxy

import (
	"context"
	"time"
)

// write delivers parcels until the stream or the connection ends.
func (l *lane) write() {
	gone := false // dst takes no more
	for {
		var p parcel
		select {
		case p = <-l.queue:
		case <-l.conn.ctx.Done():
			return
		}
		if !l.await(p) {
			return
		}
		switch {
		case p.fault != nil && p.fault.then == lost:
			l.conn.reset()
			close(p.fault.fired)
			return
		case p.fault != nil && p.fault.then == swallowed:
			close(p.fault.fired)
		case l.drops():
			// A swallowed end leaves the lane open: only a reset ends it.
		case p.abort:
			l.conn.reset()
			return
		case p.end:
			// Noted before it can be seen: what a client sends because it has
			// seen the end must find it noted.
			if !gone || l.dir == ToClient {
				l.conn.laneEnded()
			}
			if !gone {
				_ = l.dst.CloseWrite() // fails if both ends have come, and are closed
			}
			return
		case !gone && l.dir == ToServer && l.conn.serverEnded():
			// The kernel of a server that has gone answers so. A server that closes
			// only its half and still reads is not foreseen.
			l.conn.reset()
			return
		case !gone:
			if _, err := l.dst.Write(p.bytes); err != nil {
				gone = true
				if l.dir == ToServer {
					// The server is gone. What it still said is delivered first;
					// then the client's side is closed too.
					l.conn.laneEnded()
				}
				// A client that is gone leaves the lane open until the server
				// closes it, so that late requests are carried out undisturbed.
			} else if p.ends != nil {
				close(p.ends.delivered)
				if p.ends.alone && !l.awaitAnswer(p.ends) {
					return
				}
			}
		}
	}
}

// await returns when a parcel may go on, or false if the connection has been cut.
func (l *lane) await(p parcel) bool {
	if p.fault != nil && p.fault.then == held {
		close(p.fault.fired)
		select {
		case <-p.fault.released:
		case <-l.conn.ctx.Done():
			return false
		}
	}
	proxy := l.conn.proxy
	for {
		if !proxy.awaitResume(l.conn.ctx, l.dir) {
			return false
		}
		left, changed := proxy.delayLeft(l.dir, p.arrived)
		if left <= 0 {
			return true
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-changed:
		case <-l.conn.ctx.Done():
		}
		timer.Stop()
	}
}

// awaitAnswer returns when a message that was to be answered alone has been, or
// cannot be any more, or false if the connection has been cut.
func (l *lane) awaitAnswer(f *Fault) bool {
	select {
	case <-f.answered:
	case <-l.conn.silent:
	case <-l.conn.ctx.Done():
		return false
	}
	return true
}

// awaitResume returns when a direction is not paused, or false if ctx is done.
func (p *Proxy) awaitResume(ctx context.Context, dir Direction) bool {
	for {
		p.mu.Lock()
		paused, changed := p.faults.paused&dir != 0, p.faults.changed
		p.mu.Unlock()
		if ctx.Err() != nil {
			return false
		}
		if !paused {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// delayLeft tells how long what arrived then must still wait, unless the faults
// change.
func (p *Proxy) delayLeft(dir Direction, arrived time.Time) (time.Duration, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delay := p.faults.delayToServer
	if dir == ToClient {
		delay = p.faults.delayToClient
	}
	return time.Until(arrived.Add(delay)), p.faults.changed
}

// drops reports whether the direction is swallowed now. If so the connection is
// marked, in the same step, as one that Heal must reset.
func (l *lane) drops() bool {
	p := l.conn.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.faults.dropped&l.dir == 0 {
		return false
	}
	l.conn.lossy = true
	return true
}
