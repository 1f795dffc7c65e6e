package wal

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
)

// Exists reports whether there is a log in a directory.
func Exists(fs disk.FS) (bool, error) {
	names, err := fs.List()
	if err != nil {
		return false, fmt.Errorf("looking for the log: %w", err)
	}
	return slices.ContainsFunc(names, func(name string) bool {
		_, ok := segmentNumber(name)
		return ok
	}), nil
}

// Create makes an empty log. If it returns an error, or the process ends before, there is
// either none or an empty one. A log that exists is refused.
func Create(fs disk.FS, id Identity) error { return CreateSized(fs, id, SegmentSize) }

// CreateSized is Create with segments of another size, which the log keeps: a few blocks at
// the least. A frame that needs more gets a segment that is larger.
func CreateSized(fs disk.FS, id Identity, size int64) error {
	if err := id.valid(); err != nil {
		return err
	}
	there, err := Exists(fs)
	if err != nil {
		return err
	}
	if there {
		return errors.New("there is a log in the directory already: open it, or name an empty directory")
	}
	size = max(size/blockSize, 2) * blockSize
	first := &segment{name: segmentName(1), number: 1, size: size, usual: size}
	if err := first.create(fs, id); err != nil {
		return err
	}
	if err := first.publish(fs); err != nil {
		return err
	}
	return first.file.Close()
}

// removeIfThere removes a file whose absence is no error.
func removeIfThere(fs disk.FS, name string) error {
	names, err := fs.List()
	if err == nil && slices.Contains(names, name) {
		err = fs.Remove(name)
	}
	if err != nil {
		return fmt.Errorf("removing the incomplete %s: %w", name, err)
	}
	return nil
}

// incomplete reports whether a name is that of a segment that was not finished.
func incomplete(name string) bool {
	name, ok := strings.CutSuffix(name, fresh)
	if ok {
		_, ok = segmentNumber(name)
	}
	return ok
}
