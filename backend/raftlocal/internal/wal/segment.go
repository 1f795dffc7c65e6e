package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
)

// segment is a file of the log.
type segment struct {
	file   disk.File
	name   string
	number uint64
	size   int64  // of the file
	usual  int64  // of the segments of this log, if no frame needs more
	seal   uint32 // the prelude's checksum, from which those of its frames' headers start
	end    int64  // where the next frame begins
	last   uint64 // the highest index of an entry that was ever in it
}

const (
	suffix = ".log"
	fresh  = ".new" // follows the name of a file that is not complete
)

func segmentName(number uint64) string { return fmt.Sprintf("%016x%s", number, suffix) }

// segmentNumber returns the number that a name stands for, and whether it is a name of a
// segment.
func segmentNumber(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 16 {
		return 0, false
	}
	number, err := strconv.ParseUint(digits, 16, 64)
	return number, err == nil && segmentName(number) == name
}

const (
	magic   = "fencelog"
	version = 1
)

// The offsets in a prelude. The names follow, each after its length in two bytes. The
// checksum is at the end of the block.
const (
	preludeVersion = 8
	preludeNumber  = 12
	preludeSize    = 20
	preludeUsual   = 28
	preludeMember  = 36
	preludeNames   = 44
	preludeSeal    = blockSize - 4
)

func (s *segment) prelude(id Identity) []byte {
	b := make([]byte, blockSize)
	copy(b, magic)
	le := binary.LittleEndian
	le.PutUint32(b[preludeVersion:], version)
	le.PutUint64(b[preludeNumber:], s.number)
	le.PutUint64(b[preludeSize:], uint64(s.size))
	le.PutUint64(b[preludeUsual:], uint64(s.usual))
	le.PutUint64(b[preludeMember:], id.Member)
	names := b[preludeNames:preludeNames]
	for _, name := range []string{id.Cluster, id.Name} {
		names = append(le.AppendUint16(names, uint16(len(name))), name...)
	}
	s.seal = crc32.Checksum(b[:preludeSeal], castagnoli)
	le.PutUint32(b[preludeSeal:], s.seal)
	return b
}

// parsePrelude parses a prelude, and returns to which directory the segment belongs.
func (s *segment) parsePrelude(b []byte) (owner Identity, err error) {
	le := binary.LittleEndian
	if s.seal = le.Uint32(b[preludeSeal:]); s.seal != crc32.Checksum(b[:preludeSeal], castagnoli) || string(b[:len(magic)]) != magic {
		return owner, damage(s.name, 0, "the prelude is not as it was written")
	}
	if v := le.Uint32(b[preludeVersion:]); v != version {
		return owner, fmt.Errorf("%s has the format %d, and this program knows %d only: run the version that wrote it", s.name, v, version)
	}
	if number := le.Uint64(b[preludeNumber:]); number != s.number {
		return owner, damage(s.name, preludeNumber, "it is segment %d under another's name", number)
	}
	if size := int64(le.Uint64(b[preludeSize:])); size != s.size {
		return owner, damage(s.name, min(size, s.size), "it has %d bytes and had %d", s.size, size)
	}
	s.usual = int64(le.Uint64(b[preludeUsual:]))
	owner.Member = le.Uint64(b[preludeMember:])
	names := b[preludeNames:preludeSeal]
	for _, name := range []*string{&owner.Cluster, &owner.Name} {
		n := int(le.Uint16(names))
		if 2+n > len(names)-2 {
			return owner, damage(s.name, preludeNames, "the names are too long")
		}
		*name = string(names[2 : 2+n])
		names = names[2+n:]
	}
	return owner, nil
}

// create makes a segment durable, except for its name. After an error there is no such
// file, as far as the disk allows.
func (s *segment) create(fs disk.FS, id Identity) (err error) {
	// What a process has left that was killed here.
	if err := removeIfThere(fs, s.name+fresh); err != nil {
		return err
	}
	if s.file, err = fs.Create(s.name+fresh, s.size); err != nil {
		return fmt.Errorf("making the segment %s: %w", s.name, err)
	}
	if _, err = s.file.WriteAt(s.prelude(id), 0); err == nil {
		err = s.file.Sync()
	}
	// Not all systems rename a file that is open.
	if closing := s.file.Close(); err == nil {
		err = closing
	}
	if err != nil {
		_ = fs.Remove(s.name + fresh)
		return fmt.Errorf("making the segment %s: %w", s.name, disk.Scarce(err))
	}
	return nil
}

// publish gives a segment that was created its name, and opens it.
func (s *segment) publish(fs disk.FS) error {
	if err := fs.Rename(s.name+fresh, s.name); err != nil {
		return fmt.Errorf("naming the segment %s: %w", s.name, err)
	}
	if err := fs.SyncDir(); err != nil {
		return fmt.Errorf("naming the segment %s: %w", s.name, err)
	}
	file, err := fs.Open(s.name)
	if err != nil {
		return fmt.Errorf("opening the segment %s: %w", s.name, err)
	}
	s.file, s.end = file, blockSize
	return nil
}

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
	// there, and cannot be opened, is that of a segment which is made again the next time.
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
