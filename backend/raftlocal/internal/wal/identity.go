package wal

import (
	"errors"
	"fmt"
	"slices"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
)

// Identity says whose a directory is. It stands in each file.
type Identity struct {
	Cluster string
	Member  uint64
	Name    string
}

// ErrForeign means that the directory belongs to another cluster or member.
var ErrForeign = errors.New("not this member's directory")

// maxIdentity is how long the names may be together: they stand in one block.
const maxIdentity = 400

func (id Identity) valid() error {
	switch {
	case id.Cluster == "":
		return errors.New("the cluster has no name: give it one")
	case id.Member == 0:
		return errors.New("the member has the id 0: give it another")
	case len(id.Cluster)+len(id.Name) > maxIdentity:
		return fmt.Errorf("the names of cluster and member have %d bytes together, more than %d: shorten them", len(id.Cluster)+len(id.Name), maxIdentity)
	}
	return nil
}

// Admit returns nil if what belongs to owner is id's, and otherwise an [ErrForeign]
// which says what to do.
func (id Identity) Admit(owner Identity, file string) error {
	switch {
	case owner.Cluster != id.Cluster:
		return fmt.Errorf("%w: %s is of the cluster %q, and this is a member of %q: name the directory of this cluster, or an empty one", ErrForeign, file, owner.Cluster, id.Cluster)
	case owner.Member != id.Member:
		return fmt.Errorf("%w: %s is of the member %q with id %d, and this is %q with id %d: give each member a directory of its own", ErrForeign, file, owner.Name, owner.Member, id.Name, id.Member)
	}
	return nil
}

// Owner reads whose log it is. It does not look at the rest.
func Owner(fs disk.FS) (Identity, error) {
	names, err := fs.List()
	if err != nil {
		return Identity{}, fmt.Errorf("looking for the log: %w", err)
	}
	for _, name := range names { // sorted, and so by their numbers
		number, ok := segmentNumber(name)
		if !ok {
			continue
		}
		l := &Log{fs: fs}
		s := &segment{name: name, number: number}
		_, owner, err := l.prelude(s, false)
		if s.file != nil {
			err = errors.Join(err, s.file.Close())
		}
		return owner, err
	}
	return Identity{}, errNoLog
}

// Discard removes a log in which nothing was ever written. What a crash leaves of it is such a
// log, or none.
func Discard(fs disk.FS) error {
	names, err := fs.List()
	if err != nil {
		return fmt.Errorf("looking for the log: %w", err)
	}
	for _, name := range slices.Backward(names) {
		if _, ok := segmentNumber(name); ok || incomplete(name) {
			if err := fs.Remove(name); err != nil {
				return fmt.Errorf("removing the log: %w", err)
			}
		}
	}
	return fs.SyncDir()
}

// ErrDamaged means that what was written cannot be read back.
var ErrDamaged = errors.New("damaged")

// damage is an ErrDamaged that says where, and what to do.
func damage(file string, off int64, format string, what ...any) error {
	return fmt.Errorf("the log is %w: %s, at byte %d: %s; it may have held what was acknowledged, so nothing is dropped: %s",
		ErrDamaged, file, off, fmt.Sprintf(format, what...), disk.Cure)
}
