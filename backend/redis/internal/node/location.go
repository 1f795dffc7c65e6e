package node

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// locator knows where the server is. Each connection has the location at which it was made, and is closed when the
// server has moved on.
type locator struct {
	place   Place // nil: the server does not move
	closing context.Context
	made    time.Time // what times of a location count from
	sweep   func()    // drops free connections to elsewhere; may be nil
	now     atomic.Pointer[location]

	mu      sync.Mutex // of moves, and of closed
	closed  bool
	running sync.WaitGroup // questions to the Place
}

// location is where the server is, from one move to the next. A server that comes back to an address has another
// location there.
type location struct {
	addr string          // "": nowhere
	over context.Context // done when the server has moved on, or the node is closed
	end  context.CancelFunc

	heard    atomic.Int64 // see accept; a time.Duration since locator.made
	vouching vouching
}

// never is before all times.
const never = time.Duration(math.MinInt64 / 2)

// newLocator makes a locator. addr is where the server is if there is no Place.
func newLocator(closing context.Context, addr string, place Place) *locator {
	l := &locator{place: place, closing: closing, made: time.Now()}
	if place == nil {
		l.now.Store(&location{addr: addr, over: closing, end: func() {}})
	}
	return l
}

// where returns the location for a new connection.
//
// The Place is asked each time. If it names another address than the last, the server has moved: most likely Moved
// comes soon. What it has said is taken only if nothing moved meanwhile: otherwise it may be older than the move.
func (l *locator) where(ctx context.Context) (*location, error) {
	if l.place == nil {
		return l.now.Load(), nil
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	for {
		at := l.now.Load()
		if at != nil && at.addr == "" {
			return nil, ErrNowhere
		}
		addr, err := l.place.Where(ctx)
		switch {
		case err != nil:
			return nil, err
		case addr == "":
			return nil, ErrNowhere
		case at != nil && at.addr == addr:
			return at, nil
		}
		if next := l.move(at, addr); next != nil {
			return next, nil
		}
	}
}

// moved notes that the server is at addr now.
func (l *locator) moved(addr string) {
	for {
		at := l.now.Load()
		if at != nil && at.addr == addr || l.move(at, addr) != nil {
			return
		}
	}
}

// move has the server go from a location to an address; it returns nil, and does nothing, if the server is not
// there any more. First the new location counts, and then connections to the old one are closed. So whoever
// finds that its connection was closed, or gets an answer after that, finds that the server has moved.
func (l *locator) move(from *location, addr string) *location {
	to := &location{addr: addr}
	to.over, to.end = context.WithCancel(l.closing)
	to.heard.Store(int64(never))
	l.mu.Lock()
	if !l.now.CompareAndSwap(from, to) {
		l.mu.Unlock()
		to.end()
		return nil
	}
	l.mu.Unlock()
	if from != nil {
		from.end()
	}
	if l.sweep != nil {
		l.sweep()
	}
	return to
}

// await waits for a while, or until the server moves, or ctx ends.
func (l *locator) await(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	var over <-chan struct{} // never
	if at := l.now.Load(); at != nil {
		over = at.over.Done()
	}
	select {
	case <-timer.C:
	case <-over:
	case <-ctx.Done():
	}
}

// left reports whether the server is not at a location any more.
func (l *locator) left(at *location) bool { return at != nil && l.now.Load() != at }

// dial connects to where the server is. The location is nil if that is not known.
func (l *locator) dial(ctx context.Context, conf goredis.Options) (*location, net.Conn, error) {
	at, err := l.where(ctx)
	if err != nil {
		return nil, nil, err
	}
	conf.Addr = at.addr
	if l.place == nil {
		raw, err := dial(ctx, conf)
		return at, raw, err
	}
	dialling, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(at.over, cancel)()
	raw, err := dial(dialling, conf)
	if err != nil {
		err = l.failed(ctx, at, err)
	}
	return at, raw, err
}

// failed notes what an error of a request, or of connecting, says of whether the server is still the one, and returns
// what the caller gets. If the server has moved on, that is why a connection broke, whatever the error says. If ctx
// has ended, that says nothing of the server.
func (l *locator) failed(ctx context.Context, at *location, err error) error {
	if l.place == nil {
		return err
	}
	var reply goredis.Error
	switch {
	case errors.As(err, &reply):
		if isDoubtful(err) {
			l.place.Doubt(at.addr)
		}
	case errors.Is(err, ErrNotSent), ctx.Err() != nil:
	case l.left(at):
		return l.elsewhere(at)
	case l.closing.Err() == nil:
		l.place.Doubt(at.addr)
	}
	return err
}

// elsewhere is the error of a request to a location that the server has left.
func (l *locator) elsewhere(at *location) error {
	now := l.now.Load().addr
	if now == "" {
		return replaced(fmt.Sprintf("no answer of %s counts any more: the server is nowhere at the moment", at.addr))
	}
	return replaced(fmt.Sprintf("no answer of %s counts any more: the server is %s now", at.addr, now))
}

// close waits for questions under way. They end with closing.
func (l *locator) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.running.Wait()
}
