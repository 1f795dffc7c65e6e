package wal

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
)

// Contents is what was in a log when it was opened.
type Contents struct {
	// Hard is the last hard state, or nil if there never was one.
	Hard *raftpb.HardState
	// Entries are without a gap, each with the index after the one before. They begin with
	// the first segment that was kept, or after the index of the last Restart.
	Entries []*raftpb.Entry
	// Start is the index of the snapshot that the last Restart told of, while the log
	// remembers; 0 if there was none.
	Start uint64
	// Cut is how many bytes a torn write has left, which were never acknowledged and are
	// gone.
	Cut int64
}

// Open opens the log in a directory, and returns what is in it. All of that is on the disk
// when it returns, even what the process before may have written without a sync.
//
// The log of another cluster or member is refused with an [ErrForeign], one that is not as
// it was written with an [ErrDamaged]; both say what to do.
func Open(fs disk.FS, id Identity) (*Log, Contents, error) {
	l := &Log{fs: fs, id: id, anywhere: true}
	c, err := l.open()
	if err != nil {
		for _, s := range append(l.spares, l.segment) {
			if s != nil && s.file != nil {
				_ = s.file.Close()
			}
		}
		return nil, Contents{}, err
	}
	return l, c, nil
}

func (l *Log) open() (c Contents, err error) {
	if err := l.id.valid(); err != nil {
		return c, err
	}
	segments, err := l.find()
	if err != nil {
		return c, err
	}
	r := replay{log: l}
	for _, s := range segments {
		if err := r.read(s); err != nil {
			return c, err
		}
	}
	if err := r.finish(); err != nil {
		return c, err
	}
	return r.contents, nil
}

// find returns the segments in order, and clears away what is incomplete.
func (l *Log) find() ([]*segment, error) {
	names, err := l.fs.List()
	if err != nil {
		return nil, fmt.Errorf("looking for the log: %w", err)
	}
	var segments []*segment
	for _, name := range names { // sorted, and so by their numbers
		number, ok := segmentNumber(name)
		if !ok {
			continue
		}
		if n := len(segments); n > 0 && segments[n-1].number+1 != number {
			return nil, damage(segmentName(segments[n-1].number+1), 0, "the file is missing")
		}
		segments = append(segments, &segment{name: name, number: number})
	}
	if len(segments) == 0 {
		return nil, errNoLog
	}
	for _, name := range names {
		if incomplete(name) {
			if err := l.fs.Remove(name); err != nil {
				return nil, fmt.Errorf("removing the incomplete %s: %w", name, err)
			}
		}
	}
	// The names seen may not be on the disk.
	if err := l.fs.SyncDir(); err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	return segments, nil
}

var errNoLog = errors.New("there is no log in the directory: name the right one, or create a member in it")

// load opens the file of a segment, reads it and checks its prelude.
func (l *Log) load(s *segment) (data []byte, err error) {
	data, owner, err := l.prelude(s, true)
	if err != nil {
		return nil, err
	}
	s.end = blockSize
	return data, l.id.Admit(owner, s.name)
}

// prelude opens the file of a segment, reads the whole or only what it begins with, and tells
// whose it is.
func (l *Log) prelude(s *segment, whole bool) (data []byte, owner Identity, err error) {
	if s.file, err = l.fs.Open(s.name); err != nil {
		return nil, owner, fmt.Errorf("opening the log: %w", err)
	}
	if s.size, err = s.file.Size(); err != nil {
		return nil, owner, fmt.Errorf("opening the log: %w", err)
	}
	if s.size < blockSize {
		return nil, owner, damage(s.name, s.size, "the file ends")
	}
	data = make([]byte, blockSize)
	if whole {
		data = make([]byte, s.size)
	}
	if n, err := s.file.ReadAt(data, 0); err != nil && (err != io.EOF || n < len(data)) { //nolint:errorlint // ReaderAt returns a bare EOF
		return nil, owner, fmt.Errorf("reading the log: %w", err)
	}
	owner, err = s.parsePrelude(data)
	return data, owner, err
}

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
