package suspend

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// From <linux/time.h> and <linux/timerfd.h>; package syscall does not have them.
const (
	clockRealtime = 0
	clockBoottime = 7

	timerfdFlags    = syscall.O_NONBLOCK | syscall.O_CLOEXEC
	timerAbsolute   = 1 // TFD_TIMER_ABSTIME
	timerCancelable = 2 // TFD_TIMER_CANCEL_ON_SET
)

var errClosed = os.ErrClosed

var process = sync.OnceValue(func() *Clock {
	if _, errno := gettime(clockBoottime); errno != 0 {
		return nil // a sandbox may forbid it
	}
	return New(Source{
		Boot:  func() time.Duration { d, _ := gettime(clockBoottime); return d },
		Alarm: func() (Alarm, error) { return newTimer(far) },
	})
})

// Process returns the clock of this process. It is nil where there is nothing to be known,
// and in virtual time: a goroutine that waits for the kernel would stop it.
func Process() *Clock {
	if isVirtual() {
		return nil
	}
	return process()
}

// isVirtual reports whether time.Now shows another time than the kernel's wall clock, as
// it does in package testing/synctest. Somebody who sets that clock just now may disturb
// a comparison, so there are some.
func isVirtual() bool {
	for range 3 {
		before, errno := gettime(clockRealtime)
		now := time.Duration(time.Now().UnixNano())
		after, _ := gettime(clockRealtime)
		if errno != 0 || before <= now && now <= after {
			return false
		}
	}
	return true
}

func gettime(clock uintptr) (time.Duration, syscall.Errno) {
	var ts syscall.Timespec
	_, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&ts)), 0)
	return time.Duration(ts.Nano()), errno
}

// far is how far away the time is that a timer is set to, which nobody wants to know.
const far = 30 * 24 * time.Hour

// timer is an Alarm: a timer of the kernel on the wall clock, which is cancelled when that
// clock makes a jump. The goroutine that waits for it occupies no thread.
type timer struct {
	file  *os.File
	ahead time.Duration
}

func newTimer(ahead time.Duration) (*timer, error) {
	fd, _, errno := syscall.RawSyscall(syscall.SYS_TIMERFD_CREATE, clockRealtime, timerfdFlags, 0)
	if errno != 0 {
		return nil, errno
	}
	t := &timer{os.NewFile(fd, "timerfd"), ahead}
	if _, err := t.set(); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// set sets the timer. The kernel sets it also when it says that the clock has made a jump
// since it looked last.
func (t *timer) set() (jumped bool, err error) {
	raw, err := t.file.SyscallConn()
	if err != nil {
		return false, err
	}
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		when := struct{ Interval, Value syscall.Timespec }{Value: syscall.NsecToTimespec(time.Now().Add(t.ahead).UnixNano())}
		_, _, errno = syscall.RawSyscall6(syscall.SYS_TIMERFD_SETTIME, fd, timerAbsolute|timerCancelable,
			uintptr(unsafe.Pointer(&when)), 0, 0, 0)
	})
	switch {
	case err != nil:
		return false, err
	case errno == syscall.ECANCELED:
		return true, nil
	case errno != 0:
		return false, errno
	}
	return false, nil
}

// Wait sets the timer again before it returns, so that a jump that comes while the caller
// deals with this one is told the next time.
func (t *timer) Wait() (set bool, err error) {
	var expirations [8]byte
	_, err = t.file.Read(expirations[:])
	if set = errors.Is(err, syscall.ECANCELED); err != nil && !set {
		return false, err
	}
	jumped, err := t.set()
	return set || jumped, err
}

func (t *timer) Close() { _ = t.file.Close() }
