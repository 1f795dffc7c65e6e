//go:build unix

package server

import (
	"math"
	"syscall"
)

// openFiles is how many files and connections this process may have open at once. The runtime has
// raised it as far as it may.
func openFiles() uint64 {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return math.MaxInt32
	}
	return uint64(l.Cur) //nolint:gosec,unconvert // its type is another on each system; a negative one is no limit
}
