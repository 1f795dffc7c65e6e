package wal

import (
	"encoding/binary"
	"errors"

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
