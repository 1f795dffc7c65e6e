package fencelock

import (
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"time"
)

// retryWindow bounds for how long requests without an answer are retried. It counts those in
// a row.
type retryWindow struct {
	began time.Time // the first of them failed
	count int
}

// next is told that a request failed that lasted for so long, and whether the server has
// answered since the first failure in a row: a call that waits may get many answers before the
// connection that brings them is closed. It says whether to ask again, and after which pause.
// Lock asks for as long as a TTL without an answer: by then its position in the queue is gone
// anyway. TryLock asks once more. Right after the machine woke up TryLock is as patient as
// Lock, since a backend may then go by what the server confirmed before.
func (w *retryWindow) next(answered bool, lasted, ttl time.Duration, patient bool) (pause time.Duration, goOn bool) {
	now := time.Now()
	if w.count == 0 || answered {
		w.began = now
	}
	if answered && lasted > ttl/16 {
		w.count = 0 // else a server that answers and hangs up, again and again, would be asked without a pause
	}
	w.count++
	if patient && now.Sub(w.began) >= ttl || !patient && w.count > 1 {
		return 0, false
	}
	return backoff(w.count, ttl), true
}

// tooSlow says, for a message, which TTL the round trips need that were seen, if it is a
// longer one. Nothing is refused for it: one round trip may have had a connection to make,
// or have been slow by chance. Where all are, each grant comes too late, or each renewal,
// and the message is what the user gets.
func tooSlow(roundTrip, ttl time.Duration) string {
	has := requestTimeout(ttl)
	if roundTrip < has {
		return ""
	}
	text := fmt.Sprintf(" after %v, and a renewal of a TTL of %v must take less than %v", roundTrip.Round(time.Millisecond), ttl, has)
	enough := (5 * roundTrip).Truncate(100*time.Millisecond) + 100*time.Millisecond // renewals have a fourth
	if requestTimeout(enough) > roundTrip {
		text += fmt.Sprintf(": a TTL of %v would do", enough)
	}
	return text
}

// backoff is the pause before try n+1: from 1 ms, doubling, up to a sixteenth of
// the TTL; with jitter.
func backoff(n int, ttl time.Duration) time.Duration {
	return jitter(min(time.Millisecond<<min(n, 20), max(ttl/16, time.Millisecond)))
}

// jitter returns a random duration between half of d and d.
func jitter(d time.Duration) time.Duration {
	if d <= 1 {
		return d
	}
	return d/2 + mathrand.N(d/2)
}

// sleep waits for d; it returns false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// requestTimeout bounds one request about a lease of this TTL, so that several
// fit into the time that is left to a lease which has missed its first renewal.
func requestTimeout(ttl time.Duration) time.Duration {
	return min(ttl/4, 3*time.Second)
}

// requestEnds is when a request about a lease of this TTL that is sent now must have been
// answered: before Close must be done, too.
func (c *Client) requestEnds(ttl time.Duration) time.Time {
	ends := time.Now().Add(requestTimeout(ttl))
	if by := c.closeBy.Load(); by != nil && by.Before(ends) {
		return *by
	}
	return ends
}

// requestsOver reports whether Close has given up on requests.
func (c *Client) requestsOver() bool {
	by := c.closeBy.Load()
	return by != nil && !time.Now().Before(*by)
}
