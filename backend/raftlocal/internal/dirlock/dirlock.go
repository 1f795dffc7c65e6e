// Package dirlock lets one process at a time have a directory. The lock is the operating
// system's (flock), so it ends with the process, however that ends.
package dirlock

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// File is what is locked. It stays.
const File = "lock"

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
type Lock struct{ f *os.File }

// Take takes the directory, which must exist, or returns a [*TakenError] at once. Two of one
// process are like two of different ones.
func Take(dir string, owner Owner) (*Lock, error) {
	if err := checkOwner(dir); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, File), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("taking the directory %s: %w", dir, err)
	}
	if err := lock(f); err != nil {
		defer f.Close()
		if errors.Is(err, errTaken) {
			return nil, &TakenError{dir, read(f)}
		}
		return nil, fmt.Errorf("locking %s: %w", f.Name(), err)
	}
	owner.PID = os.Getpid()
	write(f, owner)
	return &Lock{f}, nil
}

// Release gives the directory up.
func (l *Lock) Release() error { return l.f.Close() }

// read and write are for messages only: if they fail, these say less.
func read(f *os.File) (owner Owner) {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 4<<10))
	if err == nil {
		_ = json.Unmarshal(b, &owner)
	}
	return owner
}

func write(f *os.File, owner Owner) {
	b, err := json.Marshal(owner)
	if err != nil || f.Truncate(0) != nil {
		return
	}
	_, _ = f.WriteAt(b, 0)
}
