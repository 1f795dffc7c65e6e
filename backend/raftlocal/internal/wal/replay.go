package wal

import (
	"fmt"
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

// read takes in the next segment.
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

// end takes in where the frames of a segment end.
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

// apply takes in what a frame holds.
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
