package wal

import (
	"encoding/binary"
	"hash/crc32"
)

// A block is what a disk writes as a whole, or not at all: 512 bytes, or a multiple.
const (
	blockSize  = 512
	tagSize    = 4
	roomSize   = blockSize - tagSize
	headerSize = 20
)

// maxPayload bounds a frame: more than any batch of entries that Raft hands out.
const maxPayload = 1 << 30

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// tagOf is what each block of a frame begins with. Frames near each other have different
// ones. No byte is zero, so no byte that changes turns one into "not written".
func tagOf(number uint64) uint32 {
	x := uint32(number) * 0x9E3779B1 & (1<<28 - 1) // odd: 2^28 frames in a row differ
	return 0x80808080 | x&0x7f | x&(0x7f<<7)<<1 | x&(0x7f<<14)<<2 | x&(0x7f<<21)<<3
}

// blocksFor returns how many blocks a frame takes.
func blocksFor(payload int) int { return (headerSize + payload + roomSize - 1) / roomSize }

// frame encodes frames, in memory that it keeps.
type frame struct {
	content []byte // header, payload
	blocks  []byte // the same as it is written
}

// payload returns where to append a payload, for finish.
func (f *frame) payload() []byte {
	if f.content == nil {
		f.content = make([]byte, headerSize, 4096)
	}
	return f.content[:headerSize]
}

// finish makes blocks of a payload that was appended to payload(). They are good until the
// next.
func (f *frame) finish(number uint64, content []byte) []byte {
	length := len(content) - headerSize
	blocks := blocksFor(length)
	for len(content) < blocks*roomSize {
		content = append(content, zeroBlock[:min(roomSize, blocks*roomSize-len(content))]...)
	}
	f.content = content
	le := binary.LittleEndian
	le.PutUint64(content, number)
	le.PutUint32(content[8:], uint32(length))
	le.PutUint32(content[12:], crc32.Checksum(content[headerSize:], castagnoli))
	f.blocks = f.blocks[:0]
	for rest := content; len(rest) > 0; rest = rest[roomSize:] {
		f.blocks = append(le.AppendUint32(f.blocks, tagOf(number)), rest[:roomSize]...)
	}
	return f.blocks
}

// shrink lets go of memory that an unusual frame has needed.
func (f *frame) shrink() {
	if cap(f.content) > 4<<20 {
		f.content, f.blocks = nil, nil
	}
}

// sealBlocks puts the header's checksum in, which depends on the segment.
func sealBlocks(blocks []byte, seal uint32) {
	header := blocks[tagSize : tagSize+headerSize]
	binary.LittleEndian.PutUint32(header[16:], headerSum(header, seal))
}

func headerSum(header []byte, seal uint32) uint32 {
	return crc32.Update(seal, castagnoli, header[:16])
}

var zeroBlock [blockSize]byte
