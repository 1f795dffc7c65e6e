package wal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"go.etcd.io/raft/v3/raftpb"
)

// replay puts together what a log holds.
type replay struct {
	log      *Log
	contents Contents
	ended    bool   // a segment had no first frame: none may follow
	last     []byte // the blocks of the last frame
	torn     int    // segments that hold parts of a frame: of the next number, all
}

// read reads the next segment.
func (r *replay) read(s *segment) (err error) {
	l := r.log
	l.spares = append(l.spares, s) // so that it is closed if this fails
	data, err := l.load(s)
	if err != nil {
		return err
	}
	scan := scan{s, data}
	for {
		number := l.number + 1
		if l.segment == nil && s.number > 1 {
			number = 0 // not known: those before are in segments that were removed
		}
		begin := s.end
		state, number, content, err := scan.next(number)
		if err != nil {
			return err
		}
		if state != whole {
			return r.end(s, data, state)
		}
		if r.ended || r.torn > 0 {
			return damage(s.name, begin, "the frame %d is here, and the one before it incomplete", number)
		}
		record, err := parseRecord(content)
		if err == nil {
			err = r.apply(record)
		}
		if err != nil {
			return damage(s.name, begin, "the frame %d: %v", number, err)
		}
		l.number = number
		r.last = data[begin:s.end]
		l.use(s)
		l.take(s, record)
	}
}

// use makes a segment the one in use: it has the last frame.
func (l *Log) use(s *segment) {
	if l.segment == s {
		return
	}
	if l.segment != nil {
		// It has been read, and was synced before the next was written to.
		_ = l.segment.file.Close()
		l.closed = append(l.closed, l.segment)
	}
	l.segment = s
	l.spares = slices.DeleteFunc(l.spares, func(spare *segment) bool { return spare == s })
}

// end records where the frames of a segment end.
func (r *replay) end(s *segment, data []byte, state found) error {
	l := r.log
	if l.segment == nil {
		if s.number > 1 {
			// A segment is removed only when a later one has a frame.
			return damage(s.name, s.end, "its first frame is missing")
		}
		l.use(s)
	}
	r.ended = r.ended || l.segment != s
	if state == absent {
		return nil
	}
	if r.torn++; r.torn > 1 {
		return damage(s.name, s.end, "a second frame is incomplete")
	}
	// The rest may be used as soon as it is zeros again, and that is on the disk: or a
	// block of this frame, that was never complete, passes for one of the next.
	rest := data[s.end:]
	for len(rest) > 0 && string(rest[len(rest)-blockSize:]) == string(zeroBlock[:]) {
		rest = rest[:len(rest)-blockSize]
	}
	clear(rest)
	r.contents.Cut = int64(len(rest))
	if _, err := s.file.WriteAt(rest, s.end); err != nil {
		return fmt.Errorf("cutting a torn write from %s: %w", s.name, err)
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("cutting a torn write from %s: %w", s.name, err)
	}
	return nil
}

// apply applies what a frame holds.
func (r *replay) apply(record *record) error {
	c := &r.contents
	if record.hard != (hard{}) {
		h := record.hard
		c.Hard = &raftpb.HardState{Term: &h.term, Vote: &h.vote, Commit: &h.commit}
	}
	if record.restart > 0 {
		c.Entries, c.Start = nil, record.restart-1
	}
	if len(record.entries) == 0 {
		return nil
	}
	first := record.entries[0].GetIndex()
	switch {
	case !r.log.anywhere && first > r.log.last+1:
		return fmt.Errorf("the entry %d follows %d", first, r.log.last)
	case len(c.Entries) == 0 || first <= c.Entries[0].GetIndex():
		c.Entries = record.entries
	default:
		c.Entries = append(c.Entries[:first-c.Entries[0].GetIndex()], record.entries...)
	}
	return nil
}

// finish makes sure that the last frame is on the disk: it may have been read from memory,
// after the sync that failed, or was never called.
func (r *replay) finish() error {
	s := r.log.segment
	if len(r.last) == 0 {
		return nil
	}
	if _, err := s.file.WriteAt(r.last, s.end-int64(len(r.last))); err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	return nil
}

// found is what is where a frame could be.
type found int

const (
	whole  found = iota
	absent       // zeros to the end of the segment
	torn         // part of a frame, and zeros to the end of the segment
)

// scan reads the frames of a segment.
type scan struct {
	segment *segment
	data    []byte // the whole segment
}

// next looks for the frame of a number where the segment's frames end, or for one of any
// number if it is 0. It returns the number, and the content without the header. Anything
// that no interrupted write leaves behind is an ErrDamaged.
func (s *scan) next(number uint64) (found, uint64, []byte, error) {
	pos := s.segment.end
	if pos == s.segment.size {
		return absent, number, nil, nil
	}
	block := s.data[pos : pos+blockSize]
	header := block[tagSize : tagSize+headerSize]
	if number == 0 {
		number = binary.LittleEndian.Uint64(header)
	}
	switch tag := binary.LittleEndian.Uint32(block); {
	case tag == 0:
		return s.rest(pos, number)
	case tag != tagOf(number):
		return 0, 0, nil, s.damage(pos, "there is a block of something else than the frame %d", number)
	case headerSum(header, s.segment.seal) != binary.LittleEndian.Uint32(header[16:]):
		return 0, 0, nil, s.damage(pos, "the header of the frame %d has a wrong checksum", number)
	case binary.LittleEndian.Uint64(header) != number:
		return 0, 0, nil, s.damage(pos, "there is the frame %d in place of %d", binary.LittleEndian.Uint64(header), number)
	}
	length := int(binary.LittleEndian.Uint32(header[8:]))
	end := pos + int64(blocksFor(length))*blockSize
	if end > s.segment.size {
		return 0, 0, nil, s.damage(pos, "the frame %d is longer than its segment", number)
	}
	content := make([]byte, 0, blocksFor(length)*roomSize)
	for at := pos; at < end; at += blockSize {
		block := s.data[at : at+blockSize]
		if binary.LittleEndian.Uint32(block) != tagOf(number) {
			// It is torn, if this block is zeros, and what else is missing of the frame too,
			// and nothing follows it.
			if state, _, _, err := s.rest(at, number); err != nil {
				return state, 0, nil, err
			}
			if _, err := s.zeros(end); err != nil {
				return 0, 0, nil, err
			}
			return torn, number, nil, nil
		}
		content = append(content, block[tagSize:]...)
	}
	if crc32.Checksum(content[headerSize:], castagnoli) != binary.LittleEndian.Uint32(header[12:]) {
		return 0, 0, nil, s.damage(pos, "the frame %d has a wrong checksum", number)
	}
	s.segment.end = end
	return whole, number, content[headerSize : headerSize+length], nil
}

// rest looks at what follows from a position on, when a block of the frame is missing
// there: parts of the frame, or nothing.
func (s *scan) rest(pos int64, number uint64) (found, uint64, []byte, error) {
	state := absent
	for ; pos < s.segment.size; pos += blockSize {
		block := s.data[pos : pos+blockSize]
		switch tag := binary.LittleEndian.Uint32(block); {
		case tag == tagOf(number):
			state = torn
		case tag != 0:
			return 0, 0, nil, s.damage(pos, "there is something after an incomplete frame %d", number)
		case string(block) != string(zeroBlock[:]):
			return 0, 0, nil, s.damage(pos, "a block has lost its tag")
		}
	}
	return state, number, nil, nil
}

// zeros fails if there is anything from a position on.
func (s *scan) zeros(pos int64) (int64, error) {
	for ; pos < s.segment.size; pos += blockSize {
		if string(s.data[pos:pos+blockSize]) != string(zeroBlock[:]) {
			return pos, s.damage(pos, "there is something where nothing was written")
		}
	}
	return pos, nil
}

func (s *scan) damage(pos int64, format string, what ...any) error {
	return damage(s.segment.name, pos, format, what...)
}
