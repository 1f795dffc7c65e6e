package wal

import (
	"errors"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
)

// SegmentSize is the usual size of a segment.
const SegmentSize = 16 << 20

// Prepare makes the next segment, if there is none, so that an Append which needs it does
// not have to. It may be called at any time from any goroutine, except before Open has
// returned; one Append in many waits for it. An error that is an [ErrFailed] is final.
// Another, such as a disk that is full, is not yet: the segment in use may have room for
// long.
func (l *Log) Prepare() error {
	l.preparing.Lock()
	defer l.preparing.Unlock()
	if err := l.Err(); err != nil || len(l.spares) > 0 {
		return err
	}
	// The segment in use changes with this lock held only.
	return l.addSpare(l.segment.number+1, l.segment.usual)
}

// addSpare makes a segment. l.preparing is held, and there are no spares.
func (l *Log) addSpare(number uint64, size int64) error {
	s := &segment{name: segmentName(number), number: number, size: size, usual: l.segment.usual}
	if err := s.create(l.fs, l.id); err != nil {
		return err
	}
	// A name that may or may not be on the disk cannot be made sure of by trying again. One that is
	// there, and cannot be opened, is that of a segment which is made anew the next time.
	switch err := s.publish(l.fs); {
	case errors.Is(err, disk.ErrScarce):
		return err
	case err != nil:
		return l.fail(err)
	}
	l.spares = append(l.spares, s)
	return nil
}

// roll goes on to the next segment, which has room for a frame.
func (l *Log) roll(frame int64) error {
	l.preparing.Lock()
	defer l.preparing.Unlock()
	// It may have failed in Prepare.
	if err := l.Err(); err != nil {
		return err
	}
	if len(l.spares) > 0 && l.spares[0].size < blockSize+frame {
		if err := l.dropSpares(); err != nil {
			return err
		}
	}
	if len(l.spares) == 0 {
		if err := l.addSpare(l.segment.number+1, max(l.segment.usual, blockSize+frame)); err != nil {
			return err
		}
	}
	if err := l.segment.file.Close(); err != nil {
		return err
	}
	l.closed = append(l.closed, l.segment)
	l.segment, l.spares = l.spares[0], l.spares[1:]
	return nil
}

// dropSpares removes segments that are too small, last first, so that none is missing in
// between whatever is on the disk of it.
func (l *Log) dropSpares() error {
	for n := len(l.spares); n > 0; n-- {
		s := l.spares[n-1]
		l.spares = l.spares[:n-1]
		if err := s.file.Close(); err != nil {
			return err
		}
		if err := removeDurably(l.fs, s.name); err != nil {
			return err
		}
	}
	return nil
}

// Compact removes the segments that hold nothing above an index, which must not be above
// what a snapshot on the disk holds. The one in use stays. Errors are final, as with
// Append.
func (l *Log) Compact(index uint64) error {
	if err := l.Err(); err != nil {
		return err
	}
	for len(l.closed) > 0 && l.closed[0].last <= index {
		if err := removeDurably(l.fs, l.closed[0].name); err != nil {
			return l.fail(err)
		}
		l.closed = l.closed[1:]
	}
	return nil
}

// removeDurably removes a file for good before anything else is removed: a file system may
// forget the earlier of two removals and keep the later, and a segment would be missing
// between others.
func removeDurably(fs disk.FS, name string) error {
	if err := fs.Remove(name); err != nil {
		return err
	}
	return fs.SyncDir()
}
