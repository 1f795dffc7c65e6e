// Package dirlock lets one process at a time have a directory. The lock is the operating
// system's (flock), so it ends with the process, however that ends. It is on the directory
// itself: a file in it could be removed by somebody who tidies up, and made again by another
// process, and then both would have a lock.
//
// # A directory that is removed while it is served
//
// The directory itself may be removed, or moved, too, and another come to its path: then its
// lock and that of the old one are two. Both are had, and neither process hears of the other. So
// who has a directory looks every [Watch] whether it is still at its path, and does not say that
// anything was granted unless it has looked in the last 10 ms (wal); if not, it tells its holders and ends. And who takes a directory that
// may be such another waits for [Settling] before it does anything with it.
//
// Both orders, of the moment M in which the new directory comes to the path, and a grant of the
// old process:
//
//   - M first, by more than 10 ms: the look on which the grant would rest came after M, and finds
//     another inode. Nothing is granted.
//   - The grant first, or not so long after: its holder is told within a Watch of M, and what it
//     takes to tell. The new process took its directory after M and grants nothing within a
//     Settling of that, which is five times as long.
//
// How old the look is is asked when the write is on the disk, as the last thing before the answer is
// sent. A process that is stopped (SIGSTOP) right there, or whose holders are, says it
// later than all of that; then what is left is the fence: tokens of a new directory begin at the
// wall clock, so they are higher.
//
// # Several users
//
// Only processes of the user who owns the directory take it (package shared). That is for the sake of
// the files, which another user's processes could not open, and not what keeps two from serving: the
// lock is on the inode, and whoever may open the directory and lock it, of whatever user, excludes all
// others. So a directory that is given away (chown -R) while it is served has one server all the same: the one of
// before, until it ends, since the new owner's processes do not get the lock. Whoever is in a group that may
// read the directory can lock it, too. Then nobody serves, which is safe: such a group's members may take
// every lock anyway.
package dirlock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
)

const (
	// Watch is how often who has a directory looks whether it is still at its path.
	Watch = 100 * time.Millisecond
	// Settling is how long a directory is had before it is used that another process may have
	// had at the same path. It is a Watch, and four more for a machine that is busy: to find out,
	// to tell the holders, and for these to take it in.
	Settling = 5 * Watch
)

// File is where the owner says who it is. It stays.
const File = "owner"

// Owner is what the owner of a directory says of itself.
type Owner struct {
	PID     int    `json:"pid"`
	Cluster string `json:"cluster"`
	Member  string `json:"member"`
}

// record is what is in the file. The inode is that of the directory, once it is settled: so it is
// known whether the owner had this one, or a directory of which this is a copy.
type record struct {
	Owner
	Inode inode `json:"inode"`
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
type Lock struct {
	root  *os.Root
	dir   *os.File // which has the lock
	owner Owner
	inode inode
	known bool // whoever had the lock before had this very directory
}

// Take takes the directory that was opened as root, or returns a [*TakenError] at once. Two of
// one process are like two of different ones. The lock closes root when it is released, and
// Take when it fails.
func Take(root *os.Root, owner Owner) (*Lock, error) {
	owner.PID = os.Getpid()
	l := &Lock{root: root, owner: owner}
	if err := l.take(); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

func (l *Lock) take() (err error) {
	if err := checkOwner(l.root); err != nil {
		return err
	}
	if l.dir, err = l.root.Open("."); err != nil {
		return fmt.Errorf("taking the directory: %w", err)
	}
	switch err := lock(l.dir); {
	case errors.Is(err, errTaken):
		return &TakenError{l.root.Name(), l.read().Owner}
	case err != nil:
		return fmt.Errorf("locking the directory %s: %w", l.root.Name(), err)
	}
	// It may have been replaced before it was locked.
	if err := disk.Check(l.root); err != nil {
		return err
	}
	if l.inode, err = inodeOf(l.dir); err != nil {
		return fmt.Errorf("taking the directory: %w", err)
	}
	l.known = l.read().Inode == l.inode
	l.write()
	return nil
}

// Settle is for who would be the only one to know of what is granted from the directory. It returns
// after a [Settling] if the owner before did not have this very directory: if it is a new one, or a
// copy, or what was in it was removed. For whoever had it before had this lock, and is gone;
// but another directory may have been at its path, and still be served.
func (l *Lock) Settle(ctx context.Context) error {
	if l.known {
		return nil
	}
	t := time.NewTimer(Settling)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := disk.Check(l.root); err != nil {
		return err
	}
	// Not before: if this process were killed meanwhile, the next would not wait.
	l.known = true
	l.write()
	return nil
}

// Release gives the directory up. One that has been moved to another path is not to be taken for
// known when it comes back: another was served in its place meanwhile.
func (l *Lock) Release() error {
	if errors.Is(disk.Check(l.root), disk.ErrLost) {
		_ = l.root.Remove(File) // it may have been removed with the rest
	}
	return l.close()
}

// Files are those in the directory.
func (l *Lock) Files() disk.FS { return disk.Dir(l.root, l.dir) }

func (l *Lock) close() (err error) {
	if l.dir != nil {
		err = l.dir.Close()
	}
	return errors.Join(err, l.root.Close())
}

// read returns what the owner has said. What cannot be read is as if it was not there: then
// messages say less, and Settle takes longer.
func (l *Lock) read() (r record) {
	if b, err := l.root.ReadFile(File); err == nil {
		_ = json.Unmarshal(b, &r)
	}
	return r
}

// write is for messages, and for the next who takes the directory.
func (l *Lock) write() {
	r := record{Owner: l.owner}
	if l.known {
		r.Inode = l.inode
	}
	if b, err := json.Marshal(r); err == nil {
		_ = l.root.WriteFile(File, b, 0o600)
	}
}

// ForeignError means that a directory belongs to another user.
type ForeignError struct {
	Dir   string
	Owner int // the user's number
	// Fix is what to do besides giving the directory away.
	Fix string
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("the directory %s belongs to the user %s, and this process runs as %s: %s, or give it away with chown -R %d",
		e.Dir, User(e.Owner), User(os.Geteuid()), e.Fix, os.Geteuid())
}

// checkOwner refuses the directory of another user, root included: the files that we would make
// there could not be read by that user's processes, which would be locked out.
func checkOwner(root *os.Root) error {
	found, err := root.Stat(".")
	if err != nil {
		return err
	}
	if uid, _, ok := OwnerOf(found); ok && uid != os.Geteuid() {
		return &ForeignError{root.Name(), uid, "run this process as that user"}
	}
	return nil
}

// names are those that were asked for. A machine may ask a server for them, which is not to be
// waited for each time that an error is printed.
var names sync.Map

// User is a user for messages: the name, if there is one, and the number.
func User(uid int) string {
	return named("user", uid, func(id string) (string, error) {
		u, err := user.LookupId(id)
		if err != nil {
			return "", err
		}
		return u.Username, nil
	})
}

// Group is the same for a group.
func Group(gid int) string {
	return named("group", gid, func(id string) (string, error) {
		g, err := user.LookupGroupId(id)
		if err != nil {
			return "", err
		}
		return g.Name, nil
	})
}

func named(what string, id int, lookup func(id string) (string, error)) string {
	number := strconv.Itoa(id)
	if known, ok := names.Load(what + number); ok {
		return known.(string)
	}
	text := number
	if name, err := lookup(number); err == nil {
		text = fmt.Sprintf("%s (%s)", name, number)
	}
	names.Store(what+number, text)
	return text
}
