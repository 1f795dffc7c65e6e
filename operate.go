package fencelock

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fencelock/fencelock/driver"
)

// What people and their tools ask: who holds a lock, which locks are held, to free one, and
// whether the server answers.

// Inspect tells who holds a key, for people and their tools: the answer may be
// old when it arrives. Status.Holders has one Holder, with its AttemptID (for Evict), Identity,
// Meta, Token, and the time Left of its lease unless that is renewed. Status.Waiters is the number
// of attempts in the queue, -1 where the server cannot tell. A key that nobody holds has no Holders, and gives no error. If ctx ends
// before the answer, the error matches ErrUnavailable, too.
func (c *Client) Inspect(ctx context.Context, key string) (driver.Status, error) {
	call, err := c.begin(ctx, "inspect", key)
	if err != nil {
		return driver.Status{}, err
	}
	defer call.end()
	s, err := c.backend.Inspect(call, key)
	if err != nil {
		return driver.Status{}, c.requestError(call, "inspect", key, err)
	}
	return c.outwardStatus(s), nil
}

// outwardStatus is the status with the tokens that the application sees.
func (c *Client) outwardStatus(s driver.Status) driver.Status {
	s.Holders = slices.Clone(s.Holders)
	for i := range s.Holders {
		s.Holders[i].Token = c.outward(s.Holders[i].Token)
	}
	return s
}

// listPage is the number of locks that ListHeld asks for at a time.
const listPage = 256

// ListHeld tells which locks are held whose keys begin with prefix, in no order. An empty prefix
// stands for the whole namespace. It is for people and their tools: a lock that is held all the time
// while it runs is listed, one that is taken or released meanwhile may or may not be. A listing
// during which a Redis server restarts or fails over may miss locks. Status has no number of
// waiters here (-1). What a page costs the server is in the package comment of
// each backend.
//
// It asks for 256 locks at a time, while the loop goes on. An error ends it, and comes last, with a
// zero Status. Each key comes once: ListHeld remembers those that it has given. ErrUnsupported says that a
// server is too old to list.
func (c *Client) ListHeld(ctx context.Context, prefix string) iter.Seq2[driver.Status, error] {
	return func(yield func(driver.Status, error) bool) {
		given := make(map[string]struct{})
		cursor := ""
		for {
			page, err := c.listHeld(ctx, prefix, cursor)
			if err != nil {
				yield(driver.Status{}, err)
				return
			}
			for _, s := range page.Locks {
				if _, again := given[s.Key]; again {
					continue
				}
				given[s.Key] = struct{}{}
				if !yield(c.outwardStatus(s), nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			cursor = page.Next
		}
	}
}

// listHeld asks for one page. It is a call of its own, so that Close does not wait for the loop.
func (c *Client) listHeld(ctx context.Context, prefix, cursor string) (driver.Page, error) {
	const op = "list"
	if err := c.checkMade(op, prefix); err != nil {
		return driver.Page{}, err
	}
	var wrong error
	switch {
	case len(prefix) > driver.MaxKeyLen:
		wrong = fmt.Errorf("the prefix has %d bytes; the longest key has %d", len(prefix), driver.MaxKeyLen)
	case !utf8.ValidString(prefix):
		wrong = errors.New("the prefix is not valid UTF-8")
	}
	if wrong != nil {
		return driver.Page{}, &Error{Op: op, Backend: c.info.Name, Kind: ErrInvalid, Err: wrong}
	}
	call, err := c.beginCall(ctx, op, prefix)
	if err != nil {
		return driver.Page{}, err
	}
	defer call.end()
	page, err := c.backend.ListHeld(call, prefix, cursor, listPage)
	if err != nil {
		return driver.Page{}, c.requestError(call, op, prefix, err)
	}
	return page, nil
}

// evictLooks is how often Evict looks for a holder to evict before it gives up.
const evictLooks = 16

// Evict frees a lock by an operator's decision, and says from whom. An empty attemptID stands for
// the attempt that holds the lock: Evict looks, and evicts exactly that one. If another has got the
// lock meanwhile, it looks again, and evicts that one then. Otherwise only the given attempt is
// evicted, the AttemptID of a [driver.Holder], and a holder that has come after it stays. It takes
// two requests, and the right to read.
//
// The holder's lease is lost: at once where the backend can tell it, with its next renewal
// otherwise. Work that it is doing does not stop by itself; the token protects what checks it.
//
// The error is of kind ErrNotHeld if there was nobody to evict: the lock is free, or an attempt
// other than the one named holds it; ErrRefused if the server has
// said no, with ErrUnavailable where asking again later may help; ErrUnavailable if the holder
// could not be looked for; ErrUnknown if the request to evict was sent and no answer came, or
// one that does not say what was done.
func (c *Client) Evict(ctx context.Context, key, attemptID string) ([]driver.Holder, error) {
	call, err := c.begin(ctx, "evict", key)
	if err != nil {
		return nil, err
	}
	defer call.end()
	if err := checkAttemptID(attemptID); err != nil {
		return nil, &Error{Op: "evict", Backend: c.info.Name, Key: key, Kind: ErrInvalid, Err: err}
	}
	for range evictLooks {
		s, err := c.backend.Inspect(call, key)
		if err != nil {
			return nil, c.requestError(call, "evict", key, err)
		}
		s = c.outwardStatus(s)
		if attemptID != "" {
			// One that this look has not found may have got the lock since.
			s.Holders = slices.DeleteFunc(s.Holders, func(h driver.Holder) bool { return h.AttemptID != attemptID })
			if len(s.Holders) == 0 {
				s.Holders = []driver.Holder{{AttemptID: attemptID}}
			}
		}
		evicted, err := c.evictHolders(call, key, s.Holders, attemptID == "")
		switch {
		case err != nil:
			return evicted, err
		case len(evicted) > 0:
			return evicted, nil
		case attemptID != "" || !s.Held():
			return nil, &Error{Op: "evict", Backend: c.info.Name, Key: key, Kind: ErrNotHeld}
		}
	}
	return nil, &Error{
		Op: "evict", Backend: c.info.Name, Key: key, Kind: ErrNotHeld,
		Err: fmt.Errorf("%w any more by any of the %d holders that were looked at: the lock changes hands too fast", ErrNotHeld, evictLooks),
	}
}

// evictHolders evicts those of the holders that hold the lock still, and returns them.
func (c *Client) evictHolders(ctx context.Context, key string, holders []driver.Holder, anybody bool) (evicted []driver.Holder, err error) {
	for _, h := range holders {
		err := c.backend.Evict(ctx, key, h.AttemptID)
		if errors.Is(err, ErrUnsupported) && anybody {
			// A server of an earlier version cannot evict one attempt alone. The operator
			// wants the lock free, whichever attempt has it.
			err = c.backend.Evict(ctx, key, "")
		}
		switch {
		case err == nil:
			c.log.Warn("fencelock: lock evicted", "key", key, "attempt", h.AttemptID, "identity", h.Identity, "token", h.Token)
			evicted = append(evicted, h)
		case !errors.Is(err, driver.ErrNotHeld):
			return evicted, c.evictError(ctx, key, err)
		}
	}
	return evicted, nil
}

// evictError makes the error of a request to evict that failed with err.
func (c *Client) evictError(ctx context.Context, key string, err error) error {
	e := &Error{Op: "evict", Backend: c.info.Name, Key: key, Kind: ErrUnknown, Err: withoutContext(err)}
	switch {
	case errors.Is(err, driver.ErrRefused):
		e.Kind = ErrRefused
	case errors.Is(err, ErrUnsupported):
		e.Kind = ErrUnsupported
	case ctx.Err() != nil: // but the request may have been carried out
		e.Err = fmt.Errorf("%w (%w)", whyEnded(ctx), withoutContext(err))
	}
	return e
}

// checkAttemptID says what is wrong with an attempt's name, as Holder has it; it may be empty.
func checkAttemptID(id string) error {
	const most, allowed = 64, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
	if len(id) > most || strings.ContainsFunc(id, func(r rune) bool { return !strings.ContainsRune(allowed, r) }) {
		return fmt.Errorf("the attempt %s is no Holder.AttemptID, which has up to %d of the characters 0-9, A-Z, a-z, - and _: take it from Inspect or ListHeld", quoteKey(id), most)
	}
	return nil
}

// healthTimeout bounds the question of Health.
const healthTimeout = 3 * time.Second

// healthKey is asked for, and never locked by us. Nothing is written for it.
const healthKey = "fencelock/health"

// Health is what [Client.Health] has found.
type Health struct {
	// Info says what the backend promises, and in Warnings what weakens that.
	Info driver.Info
	// Took is the time that the question took.
	Took time.Duration
	// Failing is why leases that this client holds are not being renewed just now, or nil.
	// They are lost if that lasts; see [Lease.ValidUntil].
	Failing error
}

// Health asks the server one question, for /healthz and the like: a read of a key that
// nobody locks, which costs what [Client.Inspect] does. The error is nil if an answer came
// before ctx ended and within 3 s; it is of kind ErrUnavailable, ErrRefused or ErrClosed,
// or the server's own. Health is filled in, but for Took, in any case.
//
// It does not prove that a lock can be taken: a server may answer a read and refuse a
// write, since it is full or is a replica. Failing shows that to a client that holds
// leases. It is safe for concurrent use.
func (c *Client) Health(ctx context.Context) (Health, error) {
	if err := c.checkMade("health", healthKey); err != nil {
		return Health{}, err
	}
	h := Health{Info: c.info}
	if c.renewal.failing.Load() > 0 {
		h.Failing = *c.renewal.failure.Load()
	}
	call, err := c.begin(ctx, "health", healthKey)
	if err != nil {
		return h, err
	}
	defer call.end()
	once, cancel := context.WithTimeout(call, healthTimeout)
	defer cancel()
	began := time.Now()
	_, err = c.backend.Inspect(once, healthKey)
	if err != nil {
		return h, c.requestError(call, "health", healthKey, answer(once, err))
	}
	h.Took = time.Since(began)
	return h, nil
}
