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
