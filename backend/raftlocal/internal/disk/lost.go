package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// ErrLost means that a directory is not ours any more, or that files in it are not: somebody
// has removed, moved or replaced them. What is written from now on is not what the next process
// finds, so whoever has promised anything by it must stop.
var ErrLost = errors.New("do not remove, move or tidy a directory that is in use")

// lost is an [ErrLost] that says what has happened.
func lost(format string, what ...any) error {
	return fmt.Errorf("%s, so nothing that was granted from it counts any more: %w", fmt.Sprintf(format, what...), ErrLost)
}

// Check compares inodes as they are now: that of the directory which is open with what is at its
// path, and those of files which are open with what is at their names. All of these are open, so
// that no inode can have been given to another file meanwhile. It compares no number that was
// read earlier: some file systems, such as one of layers, may give another when they copy a file
// or a directory up. Of a file that is not open it wants the name only.
func (d *dir) Check(names ...string) error {
	own, err := d.root.Stat(".")
	if err != nil {
		return fmt.Errorf("looking at the directory %s: %w", d.path, err)
	}
	found, err := os.Stat(d.path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return lost("the directory %s was removed while this process had it", d.path)
	case err != nil:
		return fmt.Errorf("looking at the directory %s: %w", d.path, err)
	case !os.SameFile(own, found):
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
	own, err := f.Stat()
	switch {
	case err != nil:
		return fmt.Errorf("looking at the directory %s: %w", d.path, err)
	case !os.SameFile(own, found):
		return lost("the file %s in the directory %s was replaced by another while this process had it", name, d.path)
	}
	return nil
}
