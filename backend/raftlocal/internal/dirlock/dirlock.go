// Package dirlock lets one process at a time have a directory. The lock is the operating
// system's (flock), so it ends with the process, however that ends. It is on the directory
// itself: a file in it could be removed by somebody who tidies up, and made anew by another
// process, and then both would have a lock.
package dirlock

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// File is where the owner says who it is. It stays.
const File = "owner"

// Owner is what the owner of a directory says of itself.
type Owner struct {
	PID     int    `json:"pid"`
	Cluster string `json:"cluster"`
	Member  string `json:"member"`
}

// TakenError means that a live process has the directory. This one may be it.
type TakenError struct {
	Dir   string
	Owner Owner // as far as it can be read; the process may have changed since
}

func (e *TakenError) Error() string {
	if e.Owner == (Owner{}) {
		return fmt.Sprintf("another process has the directory %s: end it, or name another directory", e.Dir)
	}
	return fmt.Sprintf("the directory %s is in use by process %d, as the member %q of the cluster %q: end it, or name another directory",
		e.Dir, e.Owner.PID, e.Owner.Member, e.Owner.Cluster)
}

// Lock is a directory that is ours.
type Lock struct{ dir *os.File }

// Take takes the directory, which must exist, or returns a [*TakenError] at once. Two of one
// process are like two of different ones.
func Take(dir string, owner Owner) (*Lock, error) {
	if err := checkOwner(dir); err != nil {
		return nil, err
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("taking the directory: %w", err)
	}
	if err := lock(d); err != nil {
		_ = d.Close() // it was only read
		if errors.Is(err, errTaken) {
			return nil, &TakenError{dir, read(dir)}
		}
		return nil, fmt.Errorf("locking the directory %s: %w", dir, err)
	}
	owner.PID = os.Getpid()
	write(dir, owner)
	return &Lock{d}, nil
}

// Release gives the directory up.
func (l *Lock) Release() error { return l.dir.Close() }

// read and write are for messages only: if they fail, these say less.
func read(dir string) (owner Owner) {
	b, err := os.ReadFile(filepath.Join(dir, File))
	if err == nil {
		_ = json.Unmarshal(b, &owner)
	}
	return owner
}

func write(dir string, owner Owner) {
	if b, err := json.Marshal(owner); err == nil {
		_ = os.WriteFile(filepath.Join(dir, File), b, 0o600)
	}
}
