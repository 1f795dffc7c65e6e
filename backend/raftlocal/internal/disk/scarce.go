package disk

import (
	"errors"
	"fmt"
	"syscall"
)

// ErrScarce means that a file could not be made or opened for want of means that may come back.
// Nothing has changed, so it may be tried again. An error of a write or a sync of what was
// there before is none: nobody knows what is on the disk then.
var ErrScarce = errors.New("a file cannot be made now")

// Scarce makes an error of making or opening a file an [ErrScarce], with the cure, if it is one.
// The file must not have come into use, and be removed.
func Scarce(err error) error {
	switch {
	case err == nil, errors.Is(err, ErrScarce):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: the disk is full: make room on it: %w", ErrScarce, err)
	case errors.Is(err, syscall.EMFILE):
		return fmt.Errorf("%w: this process has as many files and connections open as it may: raise its limit (ulimit -n, LimitNOFILE=), or find out who takes them: %w", ErrScarce, err)
	case errors.Is(err, syscall.ENFILE):
		return fmt.Errorf("%w: this machine has as many files open as it may: raise fs.file-max, or find out who takes them: %w", ErrScarce, err)
	}
	return err
}
