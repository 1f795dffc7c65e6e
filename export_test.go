package fencelock

import (
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/internal/suspend"
)

// NewWithClock is New on a machine whose suspends are told by a clock of the test.
func NewWithClock(b driver.Backend, opts *Options, clock *suspend.Clock) (*Client, error) {
	return newClient(b, opts, func() *suspend.Clock { return clock })
}
