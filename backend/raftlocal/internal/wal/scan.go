package wal

import (
	"encoding/binary"
	"hash/crc32"
)

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
