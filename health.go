package fencelock

import (
	"context"
	"time"

	"github.com/fencelock/fencelock/driver"
)

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
	if err := c.made("health", healthKey); err != nil {
		return Health{}, err
	}
	h := Health{Info: c.info}
	if c.renewal.failing.Load() > 0 {
		h.Failing = *c.renewal.failure.Load()
	}
	ctx, done, err := c.enter(ctx, "health", healthKey)
	if err != nil {
		return h, err
	}
	defer done()
	once, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	began := time.Now()
	_, err = c.backend.Inspect(once, healthKey)
	if err != nil {
		return h, c.unasked(ctx, "health", healthKey, answer(once, err))
	}
	h.Took = time.Since(began)
	return h, nil
}
