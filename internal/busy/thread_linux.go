package busy

import (
	"syscall"
	"time"
)

// threadTime is the processor time that this thread has had.
func threadTime() time.Duration {
	const thisThread = 1 // RUSAGE_THREAD, which package syscall does not name
	var u syscall.Rusage
	if syscall.Getrusage(thisThread, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
