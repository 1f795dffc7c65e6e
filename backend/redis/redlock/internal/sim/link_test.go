package sim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/model"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

// link is a node as one client sees it. It is a wire.Node.
type link struct {
	w      *world
	client *client
	host   *host
	knows  identity  // what the node was when the client last heard of it
	sick   time.Time // it is not asked until then, after a time-out
	cut    bool      // nothing arrives
}

var _ wire.Node = (*link)(nil)

var (
	errAway    = fmt.Errorf("%w: %w: away", driver.ErrUnavailable, wire.ErrNotSent)
	errTimeout = fmt.Errorf("%w: no answer in time", driver.ErrUnavailable)
)

func (l *link) Name() string { return fmt.Sprintf("n%d", l.host.n) }

func (l *link) Fit() error {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.fit()
}

func (l *link) fit() error {
	if time.Now().Before(l.sick) {
		return errAway
	}
	return nil
}

// fate is what becomes of a request and its answer.
type fate struct {
	up, down         time.Duration
	lostUp, lostDown bool
}

func (l *link) Send(ctx context.Context, r wire.Request, timeout time.Duration, answer func(any, error)) {
	w := l.w
	w.mu.Lock()
	err := l.fit()
	if ctx.Err() != nil {
		err = errAway
	}
	if err != nil {
		w.history.unsent(r)
		w.mu.Unlock()
		answer(nil, err)
		return
	}
	if f := w.mutation.request; f != nil {
		var reply any
		if r, reply = f(l, r); reply != nil {
			w.mu.Unlock()
			answer(reply, nil)
			return
		}
	}
	f := w.fate(l)
	knows, sent := l.knows, time.Now()
	w.history.sent(r)
	w.mu.Unlock()

	var once sync.Once
	tell := func(reply any, err error) { once.Do(func() { answer(reply, err) }) }
	end := time.AfterFunc(timeout, func() {
		w.mu.Lock()
		l.sick = time.Now().Add(w.between(time.Millisecond, 300*time.Millisecond))
		w.mu.Unlock()
		tell(nil, errTimeout)
	})
	if f.lostUp {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.history.unsent(r)
		return
	}
	time.AfterFunc(f.up, func() {
		reply, err := l.arrive(r, knows, sent)
		if f.lostDown || errors.Is(err, errDown) {
			return
		}
		time.AfterFunc(f.down, func() {
			end.Stop()
			if f := w.mutation.reply; f != nil && err == nil {
				w.mu.Lock()
				reply = f(l, r, reply)
				w.mu.Unlock()
			}
			tell(reply, err)
		})
	})
}

var errDown = errors.New("down")

// arrive is when the request is at its node.
func (l *link) arrive(r wire.Request, knows identity, sent time.Time) (any, error) {
	w, h := l.w, l.host
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !h.up:
		w.history.unsent(r)
		return nil, errDown
	case !h.certified || h.is != knows && !w.mutation.anyBoot:
		w.history.unsent(r)
		w.sum.unfit++
		return nil, errUnfit
	}
	if t, ok := r.(wire.Take); ok && w.noFloors {
		t.Floor = 0
		r = t
	}
	reply, told := h.do(r)
	if part, ok := reply.(wire.ScanReply); ok {
		part.Boot = fmt.Sprint(h.is)
		reply = part
	}
	if t, ok := reply.(wire.TakeReply); ok && t.Outcome == wire.Done {
		w.vanishSoon(h, r.(wire.Take).Key)
	}
	w.trace("%s to node %d: %T%+v: %+v %+v", l.client.name, h.n, r, r, reply, told)
	w.history.carriedOut(h, r, reply, sent)
	for _, t := range told {
		w.publish(h, t)
	}
	if err, ok := reply.(error); ok {
		return nil, err
	}
	return reply, nil
}

// publish delivers a notice, or not, or twice.
func (w *world) publish(h *host, t model.Told) {
	for _, c := range w.clients {
		if c.name != t.Channel {
			continue
		}
		times := 1
		if w.faulty() && w.mode != faultless {
			times = []int{0, 1, 1, 1, 1, 1, 2}[w.rng.IntN(7)]
		}
		for range times {
			time.AfterFunc(w.trip(), func() { c.backend.Notify(h.n, t.Notice) })
		}
	}
}

// fate draws what becomes of a request. Called with the mutex held.
func (w *world) fate(l *link) fate {
	f := fate{up: w.trip(), down: w.trip()}
	if l.cut {
		f.lostUp = true
	}
	if w.mode == faultless || !w.faulty() {
		return f
	}
	if w.chance(w.loss) {
		f.lostUp = true
	}
	if w.chance(w.loss) {
		f.lostDown = true
	}
	if w.chance(w.late) {
		f.up = w.between(0, 4*time.Second)
	}
	if w.chance(w.late) {
		f.down = w.between(0, time.Second)
	}
	return f
}
