package disk

import (
	"os"
	"syscall"
)

// dirFile is a file of the operating system. Its size never changes, so its data is all
// that a sync has to bring to the disk: fdatasync, which is one write of the disk fewer.
type dirFile struct {
	*os.File
	raw  syscall.RawConn
	sync func(fd uintptr) // kept, so that no Sync allocates
	err  error            // of the last sync
}

func newDirFile(opened *os.File) (File, error) {
	raw, err := opened.SyscallConn()
	if err != nil {
		return nil, err
	}
	f := &dirFile{File: opened, raw: raw}
	f.sync = func(fd uintptr) {
		for {
			// Interrupted before it was done: nothing has failed.
			if f.err = syscall.Fdatasync(int(fd)); f.err != syscall.EINTR { //nolint:errorlint // a system call's error is bare
				return
			}
		}
	}
	return f, nil
}

func (f *dirFile) Sync() error {
	if err := f.raw.Control(f.sync); err != nil {
		return err
	}
	if f.err != nil {
		return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: f.err}
	}
	return nil
}

func (f *dirFile) Size() (int64, error) { return size(f.File) }
