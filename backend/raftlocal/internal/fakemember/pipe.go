package fakemember

import (
	"context"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// Link is the network between one client and whom it dials.
type Link struct {
	mu    sync.Mutex
	moved *sync.Cond // something has changed
	down  bool
	to    func(addr string) *Member // nil: connection refused
	lost  map[string]bool           // addresses where nobody answers, not even that nobody is there
	loose map[*end]struct{}
}

// NewLink returns a network on which addresses lead to members; to a nil one, nobody.
func NewLink(to func(addr string) *Member) *Link {
	l := &Link{to: to, lost: map[string]bool{}, loose: map[*end]struct{}{}}
	l.moved = sync.NewCond(&l.mu)
	return l
}

// Cut makes the network silent, until it is mended: what was sent arrives then.
func (l *Link) Cut() (mend func()) {
	return l.fault(func(on bool) { l.down = on })
}

// Lose makes connecting to an address take for ever, until it is found again.
func (l *Link) Lose(addr string) (find func()) {
	return l.fault(func(on bool) { l.lost[addr] = on })
}

// fault begins one that lasts, and returns what ends it.
func (l *Link) fault(set func(on bool)) (end func()) {
	change := func(on bool) {
		l.mu.Lock()
		defer l.mu.Unlock()
		set(on)
		l.moved.Broadcast()
	}
	change(true)
	return func() { change(false) }
}

// Break ends all connections at once, from the network's side: both ends see it.
func (l *Link) Break() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for e := range l.loose {
		e.broken, e.other.broken = true, true
	}
	clear(l.loose)
	l.moved.Broadcast()
}

// Dial connects. It is what a client is given.
func (l *Link) Dial(ctx context.Context, addr string) (net.Conn, error) {
	if err := l.arrive(ctx, addr); err != nil {
		return nil, err
	}
	m := l.to(addr)
	ours, theirs := &end{link: l}, &end{link: l}
	ours.other, theirs.other = theirs, ours
	if m == nil || !m.accept(theirs) {
		return nil, &net.OpError{Op: "dial", Net: "memory", Err: syscall.ECONNREFUSED}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.loose[ours] = struct{}{}
	return ours, nil
}

// arrive waits until the network works, and leads to the address.
func (l *Link) arrive(ctx context.Context, addr string) error {
	stop := context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.moved.Broadcast()
	})
	defer stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for (l.down || l.lost[addr]) && ctx.Err() == nil {
		l.moved.Wait()
	}
	return context.Cause(ctx)
}

// end is one end of a connection. A write never waits.
type end struct {
	link   *Link
	other  *end
	in     []byte // guarded by link.mu, as the rest
	closed bool
	broken bool
}

func (e *end) Read(p []byte) (int, error) {
	e.link.mu.Lock()
	defer e.link.mu.Unlock()
	for {
		switch {
		case e.closed:
			return 0, net.ErrClosed
		case e.broken:
			return 0, io.ErrUnexpectedEOF
		case e.link.down:
		case len(e.in) > 0:
			n := copy(p, e.in)
			e.in = e.in[:copy(e.in, e.in[n:])]
			return n, nil
		case e.other.closed:
			return 0, io.EOF
		}
		e.link.moved.Wait()
	}
}

func (e *end) Write(p []byte) (int, error) {
	e.link.mu.Lock()
	defer e.link.mu.Unlock()
	if e.closed || e.broken || e.other.closed && !e.link.down {
		return 0, io.ErrClosedPipe
	}
	e.other.in = append(e.other.in, p...)
	e.link.moved.Broadcast()
	return len(p), nil
}

func (e *end) Close() error {
	e.link.mu.Lock()
	defer e.link.mu.Unlock()
	e.closed = true
	delete(e.link.loose, e)
	e.link.moved.Broadcast()
	return nil
}

func (e *end) LocalAddr() net.Addr              { return &net.UnixAddr{} }
func (e *end) RemoteAddr() net.Addr             { return &net.UnixAddr{} }
func (e *end) SetDeadline(time.Time) error      { return nil }
func (e *end) SetReadDeadline(time.Time) error  { return nil }
func (e *end) SetWriteDeadline(time.Time) error { return nil }
