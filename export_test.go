package fencelock

import (
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/internal/suspend"
)

// NewWithClock is New on a machine whose suspends are told by a clock of the test.
func NewWithClock(b driver.Backend, opts *Options, clock *suspend.Clock) (*Client, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	log, lines := newLog(o.Logger)
	return newClient(b, &o, log, lines, func() *suspend.Clock { return clock })
}
