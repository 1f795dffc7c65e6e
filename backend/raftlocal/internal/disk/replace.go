package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
)

// ReadFile returns what is in a small file, or nil if there is no such file.
func ReadFile(files FS, name string) ([]byte, error) {
	names, err := files.List()
	if err != nil || !slices.Contains(names, name) {
		return nil, err
	}
	f, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it is only read
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); err != nil && (!errors.Is(err, io.EOF) || n < len(b)) {
		return nil, fmt.Errorf("reading the file %s: %w", name, err)
	}
	return b, nil
}

// Fresh follows the name of a file that is not complete.
const Fresh = ".new"

// Replace makes a small file, or replaces it at once: durably, when it returns.
func Replace(files FS, name string, b []byte) error {
	if err := files.Remove(name + Fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := files.Create(name+Fresh, int64(len(b)))
	if err != nil {
		return fmt.Errorf("making the file %s: %w", name, err)
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing the file %s: %w", name, err)
	}
	if err := files.Rename(name+Fresh, name); err != nil {
		return fmt.Errorf("naming the file %s: %w", name, err)
	}
	return files.SyncDir()
}
