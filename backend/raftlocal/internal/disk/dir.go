package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// dir is a directory of the operating system.
type dir struct{ path string }

// Dir returns the directory of a path, made if it does not exist, for its owner only. One
// that others may write to is refused: whoever can change the log can hand out any lock.
func Dir(path string) (FS, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("the directory %s: %w", path, err)
	}
	if err := makeDir(path); err != nil {
		return nil, err
	}
	found, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("the directory: %w", err)
	}
	if !found.IsDir() {
		return nil, fmt.Errorf("%s is a file: name a directory for the log", path)
	}
	if err := checkPermissions(path, found.Mode()); err != nil {
		return nil, err
	}
	return &dir{path}, nil
}

// makeDir makes a directory, and each above it that is missing, so that its name lasts.
func makeDir(path string) error {
	_, err := os.Stat(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	above := filepath.Dir(path)
	if above == path {
		return err
	}
	if err := makeDir(above); err != nil {
		return err
	}
	// Another process may make it at the same time.
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("making the directory: %w", err)
	}
	return syncNames(above)
}

func (d *dir) in(name string) string { return filepath.Join(d.path, name) }

// Create writes the zeros, instead of making a hole: so that the space is there when it is
// needed, and that a later sync changes no metadata.
func (d *dir) Create(name string, size int64) (File, error) {
	opened, err := os.OpenFile(d.in(name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	err = fill(opened, size)
	if err == nil {
		var f File
		if f, err = newDirFile(opened); err == nil {
			return f, nil
		}
	}
	_ = opened.Close()
	_ = os.Remove(d.in(name))
	return nil, err
}

var zeros [256 << 10]byte

func fill(f *os.File, size int64) error {
	const step = int64(len(zeros))
	for off := int64(0); off < size; off += step {
		if _, err := f.WriteAt(zeros[:min(size-off, step)], off); err != nil {
			return err
		}
	}
	return nil
}

func (d *dir) Open(name string) (File, error) {
	opened, err := os.OpenFile(d.in(name), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	f, err := newDirFile(opened)
	if err != nil {
		_ = opened.Close()
		return nil, err
	}
	return f, nil
}

func (d *dir) Rename(from, to string) error { return os.Rename(d.in(from), d.in(to)) }

func (d *dir) Remove(name string) error { return os.Remove(d.in(name)) }

func (d *dir) List() ([]string, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

func (d *dir) SyncDir() error { return syncNames(d.path) }

func size(f *os.File) (int64, error) {
	found, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return found.Size(), nil
}
