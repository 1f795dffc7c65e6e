package mem

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// Fault is something that goes wrong between a space and its clients, for tests of code that uses locks.
// The zero value of each field but Kind matches everything.
type Fault struct {
	Kind FaultKind

	// Ops are the requests that fail. Faults without Ops also swallow what the space tells by itself: see Kind.
	Ops Ops
	// Key is the key that the failing requests are about, in any namespace. No request of ListHeld is about one key.
	Key string
	// Client is the backend, as [New] returned it, that sends the failing requests: as if one process was cut off.
	Client driver.Backend

	// Times is how many requests fail before the fault heals by itself. Zero: until it is healed.
	Times int
	// Delay is how long a request takes, of kind Late.
	Delay time.Duration
}

// FaultKind is what a fault does to a request.
type FaultKind int

const (
	// Down means that no server listens. Requests fail at once with driver.ErrUnavailable, and nothing is
	// done. Calls that wait for a lock end so, too, if Times is zero; the attempt keeps its position for a TTL.
	Down FaultKind = iota + 1
	// Silent means that packets vanish on their way to the server. A request fails with driver.ErrUnavailable
	// after the time that a request of a real client has, driver.RequestTimeout, or when its context ends, and
	// nothing is done. Calls that wait for a lock hear nothing more, as long as Times is zero.
	Silent
	// LostReply means that the server does what it is asked, and the connection breaks before the answer has
	// come: the error is driver.ErrUnavailable, and does not tell.
	LostReply
	// Refused means that the server says no, for good: driver.ErrRefused. Nothing is done.
	Refused
	// Busy means that the server says no, and that asking again may help: driver.ErrRefused together with
	// driver.ErrUnavailable. Nothing is done.
	Busy
	// Late means that a request travels for half of Delay before it is carried out, and its answer for the
	// other half. If its context ends on the way there, it is not carried out; if on
	// the way back, it was.
	Late
)

// Ops is a set of the requests that a client sends.
type Ops uint

// The requests of a client.
const (
	OpAcquire  Ops = 1 << iota // of Lock and TryLock, also when Lock asks again
	OpRenew                    // of each lease by itself
	OpRelease                  // of Unlock, and of the clean-up after a Lock that has failed
	OpInspect                  // of Inspect and Health
	OpListHeld                 // of each page
	OpEvict
)

// The errors are worded as those of a client with a connection.
var (
	errDown      = fmt.Errorf("%w: connection refused (a fault that was injected)", driver.ErrUnavailable)
	errLostReply = fmt.Errorf("%w: connection closed before the answer came (a fault that was injected)", driver.ErrUnavailable)
	errRefused   = fmt.Errorf("%w: no permission (a fault that was injected)", driver.ErrRefused)
	errBusy      = fmt.Errorf("%w, %w: too busy (a fault that was injected)", driver.ErrRefused, driver.ErrUnavailable)
)

// Inject makes requests to the space fail from now on, and returns what heals it, which may be called twice.
// It panics where the fault has no Kind. Of several faults that match a request it meets the one that was injected last. The space itself goes on:
// its clock runs, so leases that cannot be renewed end there, and others may get their locks.
//
// While a fault of kind Down or Silent without Ops lasts, a holder is not told of a loss by the space,
// either; its next renewal finds out.
func (s *Space) Inject(f Fault) (heal func()) {
	if f.Kind < Down || f.Kind > Late {
		panic(fmt.Sprintf("mem: Fault.Kind is %d", f.Kind))
	}
	return s.faults.inject(f)
}

// Forget makes the space lose the grant of a key, in every namespace, as a server does that restarts without
// its data or fails over too soon. The holder is not told: its next renewal says that the lease is lost.
// The next waiter gets the lock at once, so for a while two hold it, and only their tokens tell them apart.
// It reports whether there was a grant. (To have the holder told at once, evict it.)
func (s *Space) Forget(key string) (held bool) {
	s.mu.Lock()
	defer s.unlock()
	now := time.Now()
	for id, k := range s.keys {
		if id.key != key {
			continue
		}
		k.settle(now)
		if k.holder != nil {
			held = true
			k.holder = nil
			k.settle(now)
		}
	}
	return held
}

// faults are those of a space. They have a mutex of their own, which is locked last.
type faults struct {
	any atomic.Bool // whether there are any: what a request looks at first

	mu      sync.Mutex
	list    []*Fault
	changed chan struct{} // closed, and made again, when the list changes; nil until somebody waits for it
}

func (fs *faults) inject(f Fault) (heal func()) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	injected := &f
	fs.list = append(fs.list, injected)
	fs.notify()
	return func() {
		fs.mu.Lock()
		defer fs.mu.Unlock()
		fs.remove(injected)
	}
}

func (fs *faults) remove(f *Fault) {
	fs.list = slices.DeleteFunc(fs.list, func(x *Fault) bool { return x == f })
	fs.notify()
}

func (fs *faults) notify() {
	fs.any.Store(len(fs.list) > 0)
	if fs.changed != nil {
		close(fs.changed)
		fs.changed = nil
	}
}

// find returns the last fault that matches, or nil.
func (fs *faults) find(b *backend, key string, match func(*Fault) bool) *Fault {
	for _, f := range slices.Backward(fs.list) {
		if match(f) && (f.Key == "" || f.Key == key) && (f.Client == nil || f.Client == driver.Backend(b)) {
			return f
		}
	}
	return nil
}

// meet returns the fault that a request meets, and counts it.
func (fs *faults) meet(b *backend, op Ops, key string) (Fault, bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f := fs.find(b, key, func(f *Fault) bool { return f.Ops == 0 || f.Ops&op != 0 })
	if f == nil {
		return Fault{}, false
	}
	met := *f
	if f.Times > 0 {
		if f.Times--; f.Times == 0 {
			fs.remove(f)
		}
	}
	return met, true
}

// duringWait returns whether a call that waits for a lock is cut off by a fault, Down or Silent, and a
// channel that is closed when that may have changed.
func (fs *faults) duringWait(b *backend, key string) (changed <-chan struct{}, kind FaultKind) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.changed == nil {
		fs.changed = make(chan struct{})
	}
	f := fs.find(b, key, func(f *Fault) bool {
		return f.Times == 0 && (f.Kind == Down || f.Kind == Silent) && (f.Ops == 0 || f.Ops&OpAcquire != 0)
	})
	if f == nil {
		return fs.changed, 0
	}
	return fs.changed, f.Kind
}

// cutOff reports whether what the space tells a client by itself does not arrive.
func (fs *faults) cutOff(b *backend, key string) bool {
	if !fs.any.Load() {
		return false
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.find(b, key, func(f *Fault) bool {
		return f.Ops == 0 && f.Times == 0 && (f.Kind == Down || f.Kind == Silent)
	}) != nil
}

// send carries a request about a key to the space, through the fault that it meets. Where only the answer
// is lost, carryOut is called with answered false.
func (b *backend) send(ctx context.Context, op Ops, key string, ttl time.Duration, carryOut func(answered bool) error) error {
	if err := b.usable(ctx); err != nil {
		return err
	}
	if !b.space.faults.any.Load() {
		return carryOut(true)
	}
	f, met := b.space.faults.meet(b, op, key)
	if !met {
		return carryOut(true)
	}
	switch f.Kind {
	case Down:
		return errDown
	case Silent:
		return b.silence(ctx, ttl, nil)
	case Refused:
		return errRefused
	case Busy:
		return errBusy
	case LostReply:
		_ = carryOut(false)
		return errLostReply
	}
	if err := b.travel(ctx, f.Delay/2); err != nil {
		return err
	}
	err := carryOut(true)
	if lost := b.travel(ctx, f.Delay-f.Delay/2); lost != nil {
		return lost
	}
	return err
}

// silence waits for an answer that does not come. It returns nil if the faults have changed before.
func (b *backend) silence(ctx context.Context, ttl time.Duration, changed <-chan struct{}) error {
	timeout := driver.RequestTimeout(ttl)
	if ttl <= 0 {
		timeout = 3 * time.Second
	}
	t := time.NewTimer(timeout)
	defer t.Stop()
	select {
	case <-t.C:
		return fmt.Errorf("%w: no answer within %v (a fault that was injected)", driver.ErrUnavailable, timeout)
	case <-changed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: no answer (a fault that was injected): %w", driver.ErrUnavailable, ctx.Err())
	case <-b.closed:
		return errClosed
	}
}

// travel is one way of a request that is late.
func (b *backend) travel(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: no answer yet (a fault that was injected): %w", driver.ErrUnavailable, ctx.Err())
	case <-b.closed:
		return errClosed
	}
}
