package fencelock

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/fencelock/fencelock/driver"
)

// Inspect tells who holds a key, for people and their tools: the answer may be
// old when it arrives. A key that nobody holds has no Holders, and gives no error. If ctx ends
// before the answer, the error matches ErrUnavailable, too.
func (c *Client) Inspect(ctx context.Context, key string) (driver.Status, error) {
	ctx, done, err := c.enter(ctx, "inspect", key)
	if err != nil {
		return driver.Status{}, err
	}
	defer done()
	s, err := c.backend.Inspect(ctx, key)
	if err != nil {
		return driver.Status{}, c.unasked(ctx, "inspect", key, err)
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

// Evict frees a lock by an operator's decision, and says whom it took it from. An empty
// attemptID stands for whoever holds the lock; otherwise only that attempt of
// [driver.Holder] is evicted, and a holder who has come after it stays. The holder's
// lease is lost: at once where the backend can tell it, with its next renewal
// otherwise. Work that it is doing does not stop by itself; the token protects
// what checks it. ErrNotHeld if nobody holds the lock; ErrRefused if the server has
// said no, with ErrUnavailable where asking again later may help; ErrUnknown if the
// request was sent and no answer came, or one that does not say what was done.
func (c *Client) Evict(ctx context.Context, key, attemptID string) ([]driver.Holder, error) {
	ctx, done, err := c.enter(ctx, "evict", key)
	if err != nil {
		return nil, err
	}
	defer done()
	err = c.backend.Evict(ctx, key, attemptID)
	if err == nil {
		c.log.Warn("fencelock: lock evicted", "key", key)
		return nil, nil
	}
	e := &Error{Op: "evict", Backend: c.info.Name, Key: key, Kind: ErrUnknown, Err: err}
	switch {
	case errors.Is(err, driver.ErrNotHeld):
		e.Kind = ErrNotHeld
	case errors.Is(err, driver.ErrRefused):
		e.Kind = ErrRefused
	case ctx.Err() != nil: // but the request may have been carried out
		e.Err = fmt.Errorf("%w (%w)", ending(ctx), own(err))
		return nil, e
	}
	e.Err = own(err)
	return nil, e
}
