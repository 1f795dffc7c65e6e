package locktest

import (
	"time"

	"github.com/fencelock/fencelock/internal/busy"
)

// Soon is longer than anything takes here that nothing delays, on a machine that
// is busy. Where a test tells a delay by it, the delay is several times as long.
const Soon = 5 * time.Second

// Slack is what a bounded delay may take longer on a machine that is busy: more where others
// used its processors when the tests began.
var Slack = 1500 * time.Millisecond * busy.Times()

// Electing is what an election, and the clients' way to the new leader, take at
// most: half a second each for etcd, by the servers' settings, and then again as much.
const Electing = 3 * Soon
