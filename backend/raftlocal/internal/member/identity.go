package member

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/snapshot"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

// ID is the number that everybody can compute for a name. It is for a member that is alone, which
// nobody needs to know; and members had it whose directories were made by the first release. A
// member of several draws one: see Draw.
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

// Draw returns the id of the member whose directory it is, and whether that has begun: whether it
// may have voted, or takes part in a cluster. An empty directory gets an id, at random, that is on
// the disk when Draw returns. So a member that has lost its directory is another one to all others,
// whatever its name, and nobody counts its vote for that of the one before.
func Draw(cfg Config) (id uint64, begun bool, err error) {
	cfg = cfg.withDefaults()
	there, err := wal.Exists(cfg.FS)
	if err != nil {
		return 0, false, err
	}
	kept, err := snapshot.Exists(cfg.FS)
	if err != nil {
		return 0, false, err
	}
	if !there && kept {
		return 0, false, errors.New("member: the directory has a snapshot but no log, so it is incomplete: " + disk.Cure)
	}
	if there {
		owner, err := cfg.owner()
		if err != nil || kept {
			return owner, true, err
		}
		log, contents, err := wal.Open(cfg.FS, wal.Identity{Cluster: cfg.Cluster, Member: owner, Name: cfg.Name})
		if err != nil {
			return 0, false, err
		}
		if err := log.Close(); err != nil {
			return 0, false, err
		}
		if !untouched(contents) || owner != ID(cfg.Cluster, cfg.Name) {
			return owner, !untouched(contents), nil
		}
		// The first release has made it and got no further. Its id may be that of a directory that
		// was lost, and has voted.
		if err := wal.Discard(cfg.FS); err != nil {
			return 0, false, err
		}
	}
	for !legalID(id) || id == ID(cfg.Cluster, cfg.Name) {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails
		id = binary.BigEndian.Uint64(b[:])
	}
	return id, false, wal.CreateSized(cfg.FS, wal.Identity{Cluster: cfg.Cluster, Member: id, Name: cfg.Name}, cfg.SegmentBytes)
}

// untouched reports whether nothing was ever written to a log.
func untouched(c wal.Contents) bool { return len(c.Entries) == 0 && c.Hard.GetTerm() == 0 }

// owner returns the id in the directory, if that is this member's.
func (c Config) owner() (uint64, error) {
	owner, err := wal.Owner(c.FS)
	if err != nil {
		return 0, err
	}
	own := wal.Identity{Cluster: c.Cluster, Member: owner.Member, Name: c.Name}
	if err := own.Admit(owner, "the directory"); err != nil {
		return 0, err
	}
	if owner.Name != c.Name {
		return 0, fmt.Errorf("%w: it is of the member %q, and this is %q: give each member a directory of its own", wal.ErrForeign, owner.Name, c.Name)
	}
	return owner.Member, nil
}

// identity says whose the files are.
func (c Config) identity() wal.Identity {
	return wal.Identity{Cluster: c.Cluster, Member: c.ID, Name: c.Name}
}

// legalID reports whether raft has no other use for the number.
func legalID(id uint64) bool { return id != 0 && id < math.MaxUint64-1 }

// checkBook refuses an address book in which two members are hard to tell apart.
func checkBook(members []statemachine.Member) error {
	ids, names, addrs := map[uint64]string{}, map[string]bool{}, map[string]string{}
	for _, m := range members {
		if m.Name == "" || strings.ContainsAny(m.Name, " \t\r\n\x00") {
			return fmt.Errorf("member: %q is no name of a member: use letters, digits and dashes", m.Name)
		}
		if names[m.Name] {
			return fmt.Errorf("member: two members are named %q: give each its own name, or let one replace the other", m.Name)
		}
		names[m.Name] = true
		if !legalID(m.ID) {
			return fmt.Errorf("member: member %q has the id %d, which is reserved", m.Name, m.ID)
		}
		if other, ok := ids[m.ID]; ok {
			return fmt.Errorf("member: members %q and %q have the same id %x: give each a directory of its own", other, m.Name, m.ID)
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

// checkInitialMembers refuses a set of members that no cluster should begin with.
func checkInitialMembers(c Config) error {
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
