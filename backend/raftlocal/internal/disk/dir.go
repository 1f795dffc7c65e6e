package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// dir is a directory of the operating system. It is open, and names in it are looked up from
// there: were it moved, nothing would be written into what has come to its path.
type dir struct {
	root *os.Root
	self *os.File // the same
	path string
	own  own

	mu   sync.Mutex
	open map[string]*openFile
}

// Open opens the directory of a path, made if it does not exist, for its owner only. One that
// others may write to is refused: a user who can change the log can hand out any lock.
func Open(path string) (*os.Root, error) {
	root, err := open(path)
	if err = Scarce(err); err != nil && !errors.Is(err, ErrScarce) {
		err = &PathError{err}
	}
	return root, err
}

// PathError says that a path is none for the files of a member, as things are: it is that of a file, it cannot be
// made, or others may write there.
type PathError struct{ err error }

func (e *PathError) Error() string { return e.err.Error() }

// Unwrap returns what the system said.
func (e *PathError) Unwrap() error { return e.err }

func open(path string) (*os.Root, error) {
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
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("the directory: %w", err)
	}
	if found, err = root.Stat("."); err == nil {
		err = checkPermissions(root, found.Mode())
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

// Dir returns a directory that is open: root is what Open has returned, and self the same directory,
// opened in it. Both may be closed when its files are.
func Dir(root *os.Root, self *os.File) FS {
	return &dir{root: root, self: self, path: root.Name(), open: map[string]*openFile{}}
}

// Check reports whether the directory that is open as root is still at its path: see [FS].
func Check(root *os.Root) error { return Dir(root, nil).Check() }

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
	d, err := os.Open(above)
	if err != nil {
		return err
	}
	return errors.Join(syncNames(d), d.Close())
}

// Create writes the zeros, instead of making a hole: so that the space is there when it is
// needed, and that a later sync changes no metadata.
func (d *dir) Create(name string, size int64) (File, error) {
	opened, err := d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, Scarce(err)
	}
	err = fill(opened, size)
	if err == nil {
		var f File
		if f, err = d.file(name, opened); err == nil {
			return f, nil
		}
	}
	_ = opened.Close()
	_ = d.root.Remove(name)
	return nil, Scarce(err)
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
	opened, err := d.root.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, Scarce(err)
	}
	f, err := d.file(name, opened)
	if err != nil {
		_ = opened.Close()
		return nil, err
	}
	return f, nil
}

// file is a file that is open, and known to be until it is closed.
func (d *dir) file(name string, opened *os.File) (File, error) {
	f, err := newDirFile(opened)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	o := &openFile{File: f, dir: d, name: name, opened: opened}
	d.open[name] = o
	return o, nil
}

type openFile struct {
	File
	dir    *dir
	name   string
	opened *os.File
	own    own
}

func (f *openFile) Close() error {
	f.dir.mu.Lock()
	if f.dir.open[f.name] == f {
		delete(f.dir.open, f.name)
	}
	f.dir.mu.Unlock()
	return f.File.Close()
}

// Rename is only used for files that are closed.
func (d *dir) Rename(from, to string) error { return d.root.Rename(from, to) }

func (d *dir) Remove(name string) error { return d.root.Remove(name) }

func (d *dir) List() ([]string, error) {
	entries, err := fs.ReadDir(d.root.FS(), ".")
	if err != nil {
		return nil, Scarce(err)
	}
	var names []string
	for _, e := range entries { // sorted
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// SyncDir needs no descriptor that may be missing: what it is to make durable is done already.
func (d *dir) SyncDir() error { return syncNames(d.self) }

func size(f *os.File) (int64, error) {
	found, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return found.Size(), nil
}

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
