package member

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/machine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

// ID is the number of a member that a cluster begins with: it needs no agreement, because
// everybody can compute it. Two names of one cluster have different numbers but for a chance of
// 2^-64, and Open refuses that one.
func ID(cluster, name string) uint64 {
	h := sha256.New()
	// The length keeps ("a", "bc") and ("ab", "c") apart.
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(cluster)))
	h.Write(n[:])
	h.Write([]byte(cluster))
	h.Write([]byte(name))
	id := binary.BigEndian.Uint64(h.Sum(nil))
	if !legalID(id) {
		return 1
	}
	return id
}

// identity says whose the files are.
func (c Config) identity() wal.Identity {
	return wal.Identity{Cluster: c.Cluster, Member: c.ID, Name: c.Name}
}

// legalID reports whether raft has no other use for the number.
func legalID(id uint64) bool { return id != 0 && id < math.MaxUint64-1 }

// checkBook refuses an address book in which two members are hard to tell apart.
func checkBook(members []machine.Member) error {
	ids, names, addrs := map[uint64]string{}, map[string]bool{}, map[string]string{}
	for _, m := range members {
		if m.Name == "" || strings.ContainsAny(m.Name, " \t\r\n\x00") {
			return fmt.Errorf("member: %q is no name of a member: use letters, digits and dashes", m.Name)
		}
		if names[m.Name] {
			return fmt.Errorf("member: two members are named %q: give each its own name", m.Name)
		}
		names[m.Name] = true
		if !legalID(m.ID) {
			return fmt.Errorf("member: member %q has the id %d, which is reserved", m.Name, m.ID)
		}
		if other, ok := ids[m.ID]; ok {
			return fmt.Errorf("member: members %q and %q have the same id %x: rename one of them", other, m.Name, m.ID)
		}
		ids[m.ID] = m.Name
		if m.Addr == "" {
			continue
		}
		if other, ok := addrs[m.Addr]; ok {
			return fmt.Errorf("member: members %q and %q have the same address %s: correct one of them", other, m.Name, m.Addr)
		}
		addrs[m.Addr] = m.Name
	}
	return nil
}

// checkFounders refuses a set of members that no cluster should begin with.
func checkFounders(c Config) error {
	if err := checkBook(c.Members); err != nil {
		return err
	}
	if n := len(c.Members); n%2 == 0 {
		return fmt.Errorf("member: a cluster of %d members stands no more failures than one of %d: begin with %d or %d",
			n, n-1, n-1, n+1)
	}
	for _, m := range c.Members {
		if m.Name != c.Name {
			continue
		}
		if m.ID != c.ID {
			return fmt.Errorf("member: this member %q has the id %x, but %x in the list of members", c.Name, c.ID, m.ID)
		}
		return nil
	}
	return fmt.Errorf("member: this member %q is not in the list of members: add it, or correct the name", c.Name)
}
