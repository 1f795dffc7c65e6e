package wal

import (
	"encoding/binary"
	"hash/crc32"
)

// SegmentName is the name of the file of a number.
func SegmentName(number uint64) string { return segmentName(number) }

// IsSegment reports whether a name is that of a segment.
func IsSegment(name string) bool { _, ok := segmentNumber(name); return ok }

// Reseal makes the checksums of all frames right: a reader who gets them does not check any.
func Reseal(data []byte) {
	if len(data) < blockSize {
		return
	}
	le := binary.LittleEndian
	seal := le.Uint32(data[preludeSeal:])
	for rest := data[blockSize:]; len(rest) >= blockSize && le.Uint32(rest) != 0; {
		header := rest[tagSize : tagSize+headerSize]
		n := blocksFor(int(le.Uint32(header[8:]))) * blockSize
		if n > len(rest) {
			return
		}
		var content []byte
		for at := 0; at < n; at += blockSize {
			content = append(content, rest[at+tagSize:at+blockSize]...)
		}
		le.PutUint32(header[12:], crc32.Checksum(content[headerSize:], castagnoli))
		le.PutUint32(header[16:], headerSum(header, seal))
		rest = rest[n:]
	}
}

// CutDamage puts zeros where something is not as it was written, and after it: a reader who
// gets it cuts damage as if it were a torn write.
func CutDamage(data []byte) {
	if len(data) < blockSize {
		return
	}
	s := &segment{size: int64(len(data))}
	s.number = binary.LittleEndian.Uint64(data[preludeNumber:])
	if _, err := s.parsePrelude(data); err != nil {
		return
	}
	s.end = blockSize
	scan := scan{s, data}
	for number := uint64(0); ; number++ {
		state, n, _, err := scan.next(number)
		if err != nil {
			clear(data[s.end:])
		}
		if err != nil || state != whole {
			return
		}
		number = n
	}
}
