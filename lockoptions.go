package fencelock

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/fencelock/fencelock/driver"
)

// LockOption changes one call of Lock, TryLock, Do or DoValue.
type LockOption interface{ apply(*lockConfig) }

// lockConfig is what the options of one call add up to. Zero durations mean that there is no bound.
type lockConfig struct {
	ttl              time.Duration
	identity, meta   string
	minHold, maxHold time.Duration
}

type (
	ttlOption      time.Duration
	identityOption string
	metaOption     string
	minHoldOption  time.Duration
	maxHoldOption  time.Duration
)

func (o ttlOption) apply(c *lockConfig)      { c.ttl = time.Duration(o) }
func (o identityOption) apply(c *lockConfig) { c.identity = string(o) }
func (o metaOption) apply(c *lockConfig)     { c.meta = string(o) }
func (o minHoldOption) apply(c *lockConfig)  { c.minHold = time.Duration(o) }
func (o maxHoldOption) apply(c *lockConfig)  { c.maxHold = time.Duration(o) }

// WithTTL gives this lease a TTL of its own. It is rounded up to a whole
// millisecond, and must lie within Info.MinTTL and Info.MaxTTL.
func WithTTL(d time.Duration) LockOption { return ttlOption(d) }

// WithIdentity says who holds this lock, for people, instead of [Options.Identity]. Inspect,
// ListHeld, Evict and a HeldError show it. It is UTF-8 without a NUL character, up to 255 bytes; empty means
// Options.Identity.
func WithIdentity(id string) LockOption { return identityOption(id) }

// WithMeta attaches text to this lock, for people and their tools: a job's number, a link to a
// trace. Inspect and ListHeld show it; nothing interprets it. It is UTF-8 up to 768 bytes. It
// cannot be changed while the lock is held.
func WithMeta(meta string) LockOption { return metaOption(meta) }

// WithMinHold keeps the lock for at least d after it was granted; zero means no minimum. A job that takes less time
// than the clocks of its schedulers differ would otherwise run once for each scheduler.
//
// Take such a lock with TryLock. Lock, Do and DoValue wait until d is over, and then run the job
// once more.
//
// [Lease.Unlock] ends the lease at once and returns nil without a request. The client keeps the
// lock, renewing it, until d has passed since the grant, and then releases it in the
// background. [Client.Close] ends the minimum early, so a program that ends after its job must
// not call Close: give the lock a TTL of d, [WithTTL], and it ends by itself. A process that
// dies leaves the lock to its TTL, too.
//
// Since Unlock sends no request, it does not find out that the server has lost the lock. A
// lock that is lost after Unlock and before d is over is told to [Options.Logger] only. A
// lease that is lost before Unlock has no minimum: its lock ends on the server.
func WithMinHold(d time.Duration) LockOption { return minHoldOption(d) }

// WithMaxHold ends the lease at the latest d after it was granted, however often it was renewed;
// zero means no maximum. So work that hangs does not keep others out for ever. The lease is lost then: its error matches
// [ErrLost] and [ErrMaxHold]. [Lease.ValidUntil] is never later.
//
// The work must watch the lease's context, as for any other loss. The lock itself is free when
// Unlock is called, or when its TTL has passed since the last renewal. d may be shorter than
// the TTL.
func WithMaxHold(d time.Duration) LockOption { return maxHoldOption(d) }

// lockConfig returns what opts ask for, checked.
func (c *Client) lockConfig(opts []LockOption) (lockConfig, error) {
	if len(opts) == 0 {
		return lockConfig{ttl: c.ttl, identity: c.identity}, nil // checked when the client was made
	}
	cfg := lockConfig{ttl: c.ttl}
	for _, o := range opts {
		if o != nil { // nil changes nothing
			o.apply(&cfg)
		}
	}
	return cfg, cfg.check(c)
}

// check fills in the client's defaults, and says what is wrong with the rest.
func (cfg *lockConfig) check(c *Client) (err error) {
	if cfg.ttl, err = checkTTL("WithTTL", cfg.ttl, c.info); err != nil {
		return err
	}
	if cfg.identity == "" {
		cfg.identity = c.identity // checked already
	} else if _, err := checkIdentity("WithIdentity", cfg.identity); err != nil {
		return err
	}
	switch {
	case len(cfg.meta) > driver.MaxMetaLen:
		return fmt.Errorf("WithMeta has %d bytes; the longest has %d: shorten it, or store the data elsewhere and its address here", len(cfg.meta), driver.MaxMetaLen)
	case !utf8.ValidString(cfg.meta):
		return fmt.Errorf("WithMeta is not valid UTF-8: encode it, say with base64")
	case cfg.minHold < 0:
		return fmt.Errorf("WithMinHold is %v: want 0 or more", cfg.minHold)
	case cfg.maxHold < 0:
		return fmt.Errorf("WithMaxHold is %v: want 0 or more", cfg.maxHold)
	case cfg.maxHold > 0 && cfg.minHold > cfg.maxHold:
		return fmt.Errorf("WithMinHold is %v and WithMaxHold is %v: the minimum must not be longer than the maximum", cfg.minHold, cfg.maxHold)
	}
	return nil
}
