package wal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"go.etcd.io/raft/v3/raftpb"
)

// hard is a hard state. The zero value is that of a member which has promised nothing.
type hard struct{ term, vote, commit uint64 }

// record is what a frame holds.
type record struct {
	hard hard
	// restart is the index of a snapshot in place of all that was in the log before, plus
	// one; 0 for none.
	restart uint64
	entries []*raftpb.Entry
}

// appendRecord encodes, with variable-length numbers: term, vote, commit, restart, number
// of entries, index of the first; then for each entry term, type, length, data.
func appendRecord(b []byte, r *record) []byte {
	for _, x := range [...]uint64{r.hard.term, r.hard.vote, r.hard.commit, r.restart, uint64(len(r.entries))} {
		b = binary.AppendUvarint(b, x)
	}
	if len(r.entries) > 0 {
		b = binary.AppendUvarint(b, r.entries[0].GetIndex())
	}
	for _, e := range r.entries {
		b = binary.AppendUvarint(b, e.GetTerm())
		b = binary.AppendUvarint(b, uint64(e.GetType()))
		b = binary.AppendUvarint(b, uint64(len(e.GetData())))
		b = append(b, e.GetData()...)
	}
	return b
}

// cell is an entry with the memory that it points to.
type cell struct {
	entry raftpb.Entry
	term  uint64
	index uint64
	kind  raftpb.EntryType
}

var errPayload = errors.New("its checksum is right, but it makes no sense")

// parseRecord decodes. The entries' data stays where it is, in b.
func parseRecord(b []byte) (*record, error) {
	d := decoder{b: b}
	r := &record{}
	for _, x := range [...]*uint64{&r.hard.term, &r.hard.vote, &r.hard.commit, &r.restart} {
		*x = d.uvarint()
	}
	count := d.uvarint()
	if count > uint64(len(d.b)) {
		return nil, errPayload
	}
	if count > 0 {
		first := d.uvarint()
		cells := make([]cell, count)
		r.entries = make([]*raftpb.Entry, count)
		for i := range cells {
			c := &cells[i]
			c.index, c.term, c.kind = first+uint64(i), d.uvarint(), raftpb.EntryType(d.uvarint())
			c.entry.Index, c.entry.Term, c.entry.Type = &c.index, &c.term, &c.kind
			c.entry.Data = d.bytes(d.uvarint())
			r.entries[i] = &c.entry
		}
	}
	if d.failed || len(d.b) > 0 {
		return nil, errPayload
	}
	return r, nil
}

type decoder struct {
	b      []byte
	failed bool
}

func (d *decoder) uvarint() uint64 {
	x, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.failed, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return x
}

// bytes returns nil for none, as an entry without data has.
func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.failed, d.b = true, nil
		return nil
	}
	if n == 0 {
		return nil
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}

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
