package address

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// Watch accompanies the opening of a backend, so that its error says why it failed. If the opening takes long, the
// watch looks at the servers: one that speaks no TLS where the URL wants it waits for ever, for example. A finding
// that will be the same next time ends the opening early.
type Watch struct {
	scheme  string
	servers []Server
	given   context.Context         //nolint:containedctx // for the time of the opening only
	ctx     context.Context         //nolint:containedctx // the same
	end     context.CancelCauseFunc // of ctx
	stop    context.CancelFunc      // of a look
	now     chan struct{}           // closed when it is time for a look
	looked  chan struct{}           // closed when found is there, or no look will follow
	found   error
	sure    bool
}

// lookAfter is how long an opening has until the servers are looked at: a third of the time that
// there is, if that is less.
const lookAfter = time.Second

// NewWatch begins to watch an opening, which is to use the context that it returns: that ends with
// ctx, or with a cause that says what was found, or with the watch.
func NewWatch(ctx context.Context, scheme string, servers ...Server) (context.Context, *Watch) {
	w := &Watch{scheme: scheme, servers: servers, given: ctx, now: make(chan struct{}), looked: make(chan struct{})}
	w.ctx, w.end = context.WithCancelCause(ctx)
	looking, stop := context.WithCancel(ctx)
	w.stop = stop
	wait := lookAfter
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline)/3)
	}
	go func() {
		defer close(w.looked)
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-looking.Done():
			return
		case <-w.now:
		case <-timer.C:
		}
		w.look(looking)
		if w.sure {
			w.end(w.found)
		}
	}()
	return w.ctx, w
}

// look looks at all servers at once. What it finds when its time is cut short may be wrong.
func (w *Watch) look(ctx context.Context) {
	within := lookFor
	if deadline, ok := ctx.Deadline(); ok {
		within = min(within, time.Until(deadline)*2/3)
	}
	bounded, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	findings := make([]chan finding, len(w.servers))
	for i, s := range w.servers {
		findings[i] = make(chan finding, 1)
		go func() { findings[i] <- s.look(bounded, w.scheme) }()
	}
	var all []error
	sure := len(w.servers) > 0
	for _, f := range findings {
		found := <-f
		sure = sure && found.sure
		if found.err != nil {
			all = append(all, found.err)
		}
	}
	if ctx.Err() != nil || len(all) == 0 {
		return
	}
	if w.found, w.sure = all[0], sure; len(all) > 1 {
		w.found = lines(all)
	}
}

// End ends the watch, and returns the error of the opening with the reason that was found.
func (w *Watch) End(err error) error {
	defer w.end(nil)
	defer w.stop()
	if err == nil || w.enough(err) {
		w.stop()
		<-w.looked
		return err
	}
	close(w.now)
	<-w.looked
	switch {
	case w.found == nil:
		return err
	case w.sure && w.given.Err() == nil:
		return w.found
	}
	reason := strings.ReplaceAll(w.found.Error(), driver.ErrUnavailable.Error()+": ", "")
	if strings.Contains(err.Error(), reason) {
		return err
	}
	return fmt.Errorf("%w: %w", err, &reworded{reason, w.found})
}

// enough reports whether no look can add to an error of the opening: the server has answered, or
// no connection was accepted.
func (w *Watch) enough(err error) bool {
	var op *net.OpError
	switch {
	case w.ctx.Err() != nil:
		return false // it says no more than that
	case errors.Is(err, driver.ErrRefused), errors.Is(err, driver.ErrInvalid), errors.Is(err, driver.ErrUnsupported),
		!errors.Is(err, driver.ErrUnavailable):
		return true
	}
	return len(w.servers) == 1 && errors.As(err, &op) && op.Op == "dial" && !isTimeout(err)
}

// lines are several errors in one line.
type lines []error

func (l lines) Unwrap() []error { return l }

func (l lines) Error() string {
	texts := make([]string, len(l))
	for i, err := range l {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}
