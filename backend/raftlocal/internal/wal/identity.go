package wal

import (
	"errors"
	"fmt"
)

// Identity says whose a directory is. It stands in each file.
type Identity struct {
	Cluster string
	Member  uint64
	Name    string // for messages; a member may get another
}

// ErrForeign means that the directory belongs to another cluster or member.
var ErrForeign = errors.New("not this member's directory")

// mostIdentity is how long the names may be together: they stand in one block.
const mostIdentity = 400

func (id Identity) valid() error {
	switch {
	case id.Cluster == "":
		return errors.New("the cluster has no name: give it one")
	case id.Member == 0:
		return errors.New("the member has the id 0: give it another")
	case len(id.Cluster)+len(id.Name) > mostIdentity:
		return fmt.Errorf("the names of cluster and member have %d bytes together, more than %d: shorten them", len(id.Cluster)+len(id.Name), mostIdentity)
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
