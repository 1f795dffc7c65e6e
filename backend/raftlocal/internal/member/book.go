package member

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/machine"
)

// The address book travels with the changes of the members: a change carries the names and
// addresses of those it adds. So members and addresses agree at every entry of the log.

var errBook = errors.New("the address book in a change of the members cannot be read: run the newest version")

func encodeBook(members []machine.Member) []byte {
	var b []byte
	for _, m := range members {
		b = binary.BigEndian.AppendUint64(b, m.ID)
		for _, s := range []string{m.Name, m.Addr} {
			b = binary.AppendUvarint(b, uint64(len(s)))
			b = append(b, s...)
		}
	}
	return b
}

func decodeBook(b []byte) ([]machine.Member, error) {
	var members []machine.Member
	for len(b) > 0 {
		if len(b) < 8 {
			return nil, errBook
		}
		m := machine.Member{ID: binary.BigEndian.Uint64(b)}
		b = b[8:]
		for _, s := range []*string{&m.Name, &m.Addr} {
			n, k := binary.Uvarint(b)
			if k <= 0 || n > uint64(len(b)-k) {
				return nil, errBook
			}
			*s, b = string(b[k:k+int(n)]), b[k+int(n):]
		}
		members = append(members, m)
	}
	return members, nil
}

// bookOf returns who has a part in a configuration, by number: of those who were in the book
// and those who were added.
func bookOf(conf *raftpb.ConfState, was, added []machine.Member) []machine.Member {
	var book []machine.Member
	for _, id := range everybody(conf) {
		is := func(m machine.Member) bool { return m.ID == id }
		if i := slices.IndexFunc(added, is); i >= 0 {
			book = append(book, added[i])
		} else if i := slices.IndexFunc(was, is); i >= 0 {
			book = append(book, was[i])
		} else {
			book = append(book, machine.Member{ID: id})
		}
	}
	return book
}

func sortedBook(members []machine.Member) []machine.Member {
	return slices.SortedFunc(slices.Values(members), func(a, b machine.Member) int { return cmp.Compare(a.ID, b.ID) })
}

// member returns who has a number, or only the number.
func (m *Member) member(id uint64) machine.Member {
	if id == 0 {
		return machine.Member{}
	}
	for _, p := range m.machine.Members() {
		if p.ID == id {
			return p
		}
	}
	return machine.Member{ID: id}
}
