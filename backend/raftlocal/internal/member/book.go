package member

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

// The address book travels with the changes of the members: a change carries the names and
// addresses of those it adds. So members and addresses agree at every entry of the log.

var errBook = errors.New("the address book in a change of the members cannot be read: run the newest version")

func encodeBook(members []statemachine.Member) []byte {
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

func decodeBook(b []byte) ([]statemachine.Member, error) {
	var members []statemachine.Member
	for len(b) > 0 {
		if len(b) < 8 {
			return nil, errBook
		}
		m := statemachine.Member{ID: binary.BigEndian.Uint64(b)}
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

// bookOf returns the book after a change: those who have a part in the configuration, of those
// who were in the book and those who were added. Whoever has none any more stays, without a name,
// so that its id is never given to another: there may be messages of it under way, and they
// would be taken for the other's.
func bookOf(conf *raftpb.ConfState, was, added []statemachine.Member) []statemachine.Member {
	all := everybody(conf)
	book := make([]statemachine.Member, 0, len(all)+len(was))
	for _, id := range all {
		i := slices.IndexFunc(added, hasID(id))
		j := slices.IndexFunc(was, hasID(id))
		switch {
		case i >= 0:
			book = append(book, added[i])
		case j >= 0:
			book = append(book, was[j])
		default:
			book = append(book, statemachine.Member{ID: id})
		}
	}
	for _, w := range was {
		if !slices.Contains(all, w.ID) {
			book = append(book, statemachine.Member{ID: w.ID})
		}
	}
	return sortedBook(book)
}

func hasID(id uint64) func(statemachine.Member) bool {
	return func(m statemachine.Member) bool { return m.ID == id }
}

func sortedBook(members []statemachine.Member) []statemachine.Member {
	return slices.SortedFunc(slices.Values(members), func(a, b statemachine.Member) int { return cmp.Compare(a.ID, b.ID) })
}
