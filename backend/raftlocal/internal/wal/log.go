// Package wal is the write-ahead log of a member: what it has promised to its cluster, in
// files that survive a crash.
//
// # Files
//
// The log is a row of segments, files named by their number, 0000000000000001.log and so
// on. A segment is made in full length, of zeros, under another name, and gets its own
// once it is on the disk: so a file that is shorter than it says has been damaged. Its
// first block, the prelude, says whose it is and never changes.
//
// # Frames
//
// After the prelude come frames. Each call of Append is one frame, one write and one
// sync, so no more than one frame, the last, can be incomplete. Frames are numbered from 1
// on through all segments. A frame begins on a block of 512 bytes, what a disk writes as a
// whole or not at all, and every block of it begins with a tag that follows from the
// frame's number, and none of whose bytes is zero. The frame's header has a checksum, and
// so has all that follows it, to the end of its last block.
//
//	block:  tag (4 bytes) | 508 bytes of the frame
//	frame:  number (8) | length (4) | checksum of the rest (4) | checksum of these (4) | payload | zeros
//
// So a torn write can be told from damage. A block that has never reached the disk is all
// zeros: a last frame with such a block was never acknowledged, and is cut. Where all
// tags are there, all blocks have been written: then a wrong checksum, or anything else
// that no interrupted write leaves, is damage to something that may have been
// acknowledged, and the log is refused, as is an incomplete frame with a later one after
// it. One thing cannot be told apart: a disk that puts zeros where a block of the very
// last frame was.
//
// # Payload
//
// Each frame holds the hard state in full, so that old segments can be removed, and the
// entries. An entry replaces the one of its index and all after, as in Raft.
//
// # Errors
//
// After an error of a write or a sync nobody knows what is on the disk: a later sync may
// succeed without having written anything. So an error is final. All calls return it from
// then on, and the member must stop. Open does not trust what it reads of the last frame
// to be on the disk either, and writes it again.
package wal

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
)

// Log is an open log. It is not safe for concurrent use, except for Prepare.
type Log struct {
	fs disk.FS
	id Identity

	closed   []*segment // full ones, oldest first; their files are not open
	segment  *segment   // the one that is written to
	number   uint64     // of the last frame
	hard     hard
	last     uint64 // index of the last entry, or of the snapshot that the log starts from
	anywhere bool   // nothing was ever in the log, so it may start at any index
	frame    frame
	record   record
	syncs    Syncs
	looked   time.Time // when the last look at the directory began

	failed atomic.Pointer[error] // why it takes nothing any more

	preparing sync.Mutex
	spares    []*segment // that follow, empty; guarded by preparing
}

// ErrClosed is what a closed log says.
var ErrClosed = errors.New("the log is closed")

// ErrFailed means that a write or a sync has failed: what is on the disk is not known. It
// wraps the cause, and all later calls return it.
var ErrFailed = errors.New("the log cannot be written, so this member stops; mend the disk or make room on it, and start the member again")

// Append makes a hard state and entries durable, both or none: they are on the disk when it
// returns nil. A nil hs stands for the one before. The indices of entries rise by one; the
// first may replace an entry, and with it all that follow.
//
// After an error from the disk it is not known if they will be there at the next Open, and
// all calls return the error from now on. Not so after a [disk.ErrScarce], when there was
// nothing left to make a segment of: nothing has changed, and the same may be tried again.
// Nor if the error says that the arguments make no sense.
//
// The last thing is a look whether the directory is still ours, and the file, unless the last look
// is recent: so whoever tells somebody of what was written tells what the next process finds. If
// not, it is a [disk.ErrLost].
func (l *Log) Append(hs *raftpb.HardState, entries []*raftpb.Entry) error {
	if err := l.Err(); err != nil {
		return err
	}
	if hs == nil && len(entries) == 0 {
		return nil
	}
	if err := l.checkEntries(entries); err != nil {
		return err
	}
	l.record = record{hard: l.hard, entries: entries}
	if hs != nil {
		l.record.hard = hard{hs.GetTerm(), hs.GetVote(), hs.GetCommit()}
	}
	return l.write()
}

func (l *Log) checkEntries(entries []*raftpb.Entry) error {
	for i, e := range entries {
		if want := entries[0].GetIndex() + uint64(i); e.GetIndex() != want || want == 0 {
			return fmt.Errorf("wal: an entry has the index %d in place of %d", e.GetIndex(), want)
		}
	}
	if len(entries) > 0 && !l.anywhere && entries[0].GetIndex() > l.last+1 {
		return fmt.Errorf("wal: the log ends at %d, so an entry %d leaves a gap; Restart it first if a snapshot is in between", l.last, entries[0].GetIndex())
	}
	return nil
}

// Restart makes durable that a snapshot at an index, which must be on the disk already,
// stands in place of all that is in the log, even of entries after it. The next entry has
// the index after. A nil hs stands for the one before. Errors are as with Append.
func (l *Log) Restart(hs *raftpb.HardState, index uint64) error {
	if err := l.Err(); err != nil {
		return err
	}
	l.record = record{hard: l.hard, restart: index + 1}
	if hs != nil {
		l.record.hard = hard{hs.GetTerm(), hs.GetVote(), hs.GetCommit()}
	}
	return l.write()
}

// Frames is how many were written for as long as there has been a log: each by one write and
// one fsync, with all that came at once.
func (l *Log) Frames() uint64 { return l.number }

// Names are the files that must be there, but for those that are prepared.
func (l *Log) Names() []string {
	var names []string
	for _, s := range l.closed {
		names = append(names, s.name)
	}
	return append(names, l.segment.name)
}

// write makes l.record durable, as the next frame.
func (l *Log) write() error {
	r := &l.record
	defer func() {
		*r = record{} // keep no entries alive
		l.frame.shrink()
	}()
	content := appendRecord(l.frame.payload(), r)
	if len(content) > maxPayload {
		return fmt.Errorf("wal: %d bytes at once are more than %d", len(content), maxPayload)
	}
	blocks := l.frame.finish(l.number+1, content)
	if l.segment.end+int64(len(blocks)) > l.segment.size {
		switch err := l.roll(int64(len(blocks))); {
		case errors.Is(err, disk.ErrScarce):
			return err
		case err != nil:
			return l.fail(err)
		}
	}
	s := l.segment
	sealBlocks(blocks, s.seal)
	if _, err := s.file.WriteAt(blocks, s.end); err != nil {
		return l.fail(err)
	}
	began := time.Now()
	if err := s.file.Sync(); err != nil {
		return l.fail(err)
	}
	l.syncs.add(time.Since(began))
	if err := l.look(s); err != nil {
		return l.fail(err)
	}
	l.number++
	s.end += int64(len(blocks))
	l.take(s, r)
	return nil
}

// recent is how old a look at the directory may be that an acknowledgement rests on. It is little
// beside the time for which whoever comes to another directory waits (dirlock.Settling); and to
// look after each fsync would make a lone caller slower by some tenths of a millisecond where the
// processors are busy.
const recent = 10 * time.Millisecond

// look looks whether the directory is still ours, unless it was found so just now.
func (l *Log) look(s *segment) error {
	began := time.Now() // before the look: so old is what it says
	if began.Sub(l.looked) < recent {
		return nil
	}
	if err := l.fs.Check(s.name); err != nil {
		return err
	}
	l.looked = began
	return nil
}

// take notes what a frame of a segment holds.
func (l *Log) take(s *segment, r *record) {
	l.hard = r.hard
	if r.restart > 0 {
		l.last, l.anywhere = r.restart-1, false
		// What was there before counts for nothing, even what had a higher index.
		for _, older := range l.closed {
			older.last = min(older.last, l.last)
		}
		s.last = l.last
	}
	if n := len(r.entries); n > 0 {
		l.last, l.anywhere = r.entries[n-1].GetIndex(), false
		s.last = max(s.last, l.last)
	}
}

// Err returns why the log takes nothing any more, or nil.
func (l *Log) Err() error {
	if err := l.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// fail ends the log. The first error stays.
func (l *Log) fail(err error) error {
	if !errors.Is(err, disk.ErrLost) {
		err = fmt.Errorf("%w: %w", ErrFailed, err)
	}
	l.failed.CompareAndSwap(nil, &err)
	return l.Err()
}

// Close closes the files. It waits for a Prepare that is under way.
func (l *Log) Close() error {
	if l.Err() == ErrClosed { //nolint:errorlint // it is never wrapped
		return nil
	}
	closed := ErrClosed
	l.failed.Store(&closed)
	l.preparing.Lock()
	defer l.preparing.Unlock()
	err := l.segment.file.Close()
	for _, s := range l.spares {
		err = errors.Join(err, s.file.Close())
	}
	return err
}

// Syncs is how long the disk has taken, as a histogram.
type Syncs struct {
	// Counts are of syncs that took as long as the bound at their place in [SyncBounds], or less, and longer
	// than the one before; the last is of those that took longer than all.
	Counts [len(SyncBounds) + 1]uint64
	Took   time.Duration // together
}

// SyncBounds are the bounds. A disk with a battery or of flash is in the first few, and locks are lost above
// a second.
var SyncBounds = [...]time.Duration{
	250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond,
	500 * time.Millisecond, time.Second, 2500 * time.Millisecond,
}

func (s *Syncs) add(d time.Duration) {
	s.Took += d
	for i, bound := range SyncBounds {
		if d <= bound {
			s.Counts[i]++
			return
		}
	}
	s.Counts[len(SyncBounds)]++
}

// Syncs tells how long the disk has taken for a write to be durable, since the log was opened.
func (l *Log) Syncs() Syncs { return l.syncs }
