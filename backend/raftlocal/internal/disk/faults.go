package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"
)

// ErrLost means that a directory is not ours any more, or that files in it are not: somebody
// has removed, moved or replaced them. What is written from now on is not what the next process
// finds, so a member that has promised anything by it must stop.
var ErrLost = errors.New("do not remove, move or tidy a directory that is in use")

// lost is an [ErrLost] that says what has happened.
func lost(format string, what ...any) error {
	return fmt.Errorf("%s, so nothing that was granted from it counts any more: %w", fmt.Sprintf(format, what...), ErrLost)
}

// Check compares inodes: that of the directory which is open with what is at its path, and those of
// files which are open with what is at their names. As they are open, no inode can have been given to
// another meanwhile. A number that was read earlier says that all is well, and never that it is
// not: some file systems, such as one of layers, may give another when they copy a file or a
// directory up. So most looks cost one call of the system for each. Of a file that is not open it
// wants the name only.
func (d *dir) Check(names ...string) error {
	found, err := os.Stat(d.path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return lost("the directory %s was removed while this process had it", d.path)
	case err != nil:
		return fmt.Errorf("looking at the directory %s: %w", d.path, err)
	}
	switch same, err := d.own.is(found, func() (fs.FileInfo, error) { return d.root.Stat(".") }); {
	case err != nil:
		return fmt.Errorf("looking at the directory %s: %w", d.path, err)
	case !same:
		return lost("the directory %s was replaced by another while this process had it", d.path)
	}
	for _, name := range names {
		if err := d.checkFile(name); err != nil {
			return err
		}
	}
	return nil
}

func (d *dir) checkFile(name string) error {
	found, err := d.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return lost("the file %s was removed from the directory %s while this process had it", name, d.path)
	case err != nil:
		return fmt.Errorf("looking at the directory %s: %w", d.path, err)
	}
	d.mu.Lock()
	f := d.open[name]
	d.mu.Unlock()
	if f == nil {
		return nil
	}
	switch same, err := f.own.is(found, f.opened.Stat); {
	case errors.Is(err, os.ErrClosed):
		return nil // just now
	case err != nil:
		return fmt.Errorf("looking at the directory %s: %w", d.path, err)
	case !same:
		return lost("the file %s in the directory %s was replaced by another while this process had it", name, d.path)
	}
	return nil
}

// own is the inode of something that is open.
type own struct{ last atomic.Pointer[fs.FileInfo] }

// is reports whether that is what was found. now reads it.
func (o *own) is(found fs.FileInfo, now func() (fs.FileInfo, error)) (bool, error) {
	if last := o.last.Load(); last != nil && os.SameFile(*last, found) {
		return true, nil
	}
	info, err := now()
	if err != nil {
		return false, err
	}
	o.last.Store(&info)
	return os.SameFile(info, found), nil
}

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
