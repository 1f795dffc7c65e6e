//go:build !linux

package suspend

import "errors"

var errClosed = errors.New("closed")

// Process returns nil: there is nothing to be known here.
//
// On Windows Go's clock goes on while the machine is suspended (the runtime reads the
// biased interrupt time), so it is right by itself. On macOS it stands still
// (mach_absolute_time), and nothing is done about it; of other systems we do not know.
func Process() *Clock { return nil }
