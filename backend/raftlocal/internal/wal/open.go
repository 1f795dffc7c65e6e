package wal

import (
	"errors"
	"fmt"
	"io"

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
