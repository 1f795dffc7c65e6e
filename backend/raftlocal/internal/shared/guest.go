package shared

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/dirlock"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/network"
	"github.com/fencelock/fencelock/driver"
)

// GuestError means that a directory belongs to another user than this process's, so that this process
// is a client of who serves it, and never serves it itself. As an error it says that nobody
// serves; it is a driver.ErrUnavailable.
//
// Who is a guest is looked at again before each attempt to serve: when the directory has been given to
// our user, we may serve.
//
// Root is a guest, too, where another user owns the directory. It could serve, but each file of the
// log that it makes would be root's, and the owner's processes could not go on with them; and to give
// each file away at once would leave those of a moment in which it was killed.
type GuestError struct {
	Dir   string
	Owner int   // the user who owns the directory
	gone  bool  // there is none any more
	err   error // of the attempt to connect; nil if there was none
}

func (e *GuestError) Error() string {
	owner, us := dirlock.User(e.Owner), dirlock.User(os.Geteuid())
	if e.gone {
		return fmt.Sprintf("the directory %s is gone, which belonged to the user %s: a process of that user makes it again when it opens it, and one of %s does not", e.Dir, owner, us)
	}
	return fmt.Sprintf("no process of the user %s, who owns the directory %s, serves it: start one, since this process runs as %s and is only a client", owner, e.Dir, us)
}

// Unwrap makes it temporary: a process of the owner may come.
func (e *GuestError) Unwrap() []error {
	if e.err == nil {
		return []error{driver.ErrUnavailable}
	}
	return []error{driver.ErrUnavailable, e.err}
}

// open opens the directory, and makes it if it does not exist, if it is this process's to serve.
// Otherwise the error is a [*GuestError].
func (d *directory) open() (*os.Root, error) {
	var above []string
	found, err := os.Stat(d.path)
	switch {
	case err == nil && found.IsDir():
		err = d.mayServe(found)
	case errors.Is(err, fs.ErrNotExist):
		// A guest does not make it: it would be the owner then, and keep the other user from serving.
		if guest := d.guest.Load(); guest != nil {
			return nil, &GuestError{Dir: guest.Dir, Owner: guest.Owner, gone: true}
		}
		above, err = missing(d.path), nil
	case errors.Is(err, fs.ErrPermission):
		err = denied(d.path, err)
	default:
		err = nil // disk.Open says it
	}
	if err != nil {
		return nil, err
	}
	root, err := disk.Open(d.path)
	if err == nil {
		err = d.share(root, above)
		if err != nil {
			err = errors.Join(err, root.Close())
		}
	}
	if err != nil {
		return nil, d.unmade(err)
	}
	return root, nil
}

// mayServe returns nil if the directory belongs to this process's user, or why it is not to be served.
func (d *directory) mayServe(found fs.FileInfo) error {
	uid, _, ok := dirlock.OwnerOf(found)
	us := os.Geteuid()
	if ok && uid != us && us != 0 && d.group == network.NoGroup {
		return &dirlock.ForeignError{
			Dir: d.path, Owner: uid,
			Fix: "run all processes that share it as one user, or let the users of a group share it with group= in the URL of all of them",
		}
	}
	if mode := found.Mode().Perm(); ok && mode&0o022 != 0 && (d.group != network.NoGroup || uid != us) {
		return fmt.Errorf("others than the user %s may write to the directory %s, and so replace the log or the socket (its mode is %04o): make it that user's with chmod 2750", dirlock.User(uid), d.path, mode)
	}
	if ok && uid != us {
		guest := &GuestError{Dir: d.path, Owner: uid}
		d.guest.Store(guest)
		return guest
	}
	d.guest.Store(nil)
	return nil
}

// meant returns nil if a directory of another user is the group's, as whoever shares it with that group has made it.
// So a stranger who comes first, in a directory above that all may write to, is not taken for the one who
// serves: it takes one of the group to give a directory to it.
func (d *directory) meant(guest *GuestError) error {
	found, err := os.Stat(d.path)
	if err != nil || d.group == network.NoGroup {
		return nil // then the connection tells more; and root without a group takes what there is
	}
	if _, gid, ok := dirlock.OwnerOf(found); ok && gid != d.group {
		return network.NewMismatch(fmt.Sprintf("the directory %s is of the group %s, and not of %s: let the processes of the user %s, who owns it, serve it with group=%d in their URL, or correct group= in ours",
			d.path, dirlock.Group(gid), dirlock.Group(d.group), dirlock.User(guest.Owner), d.group), fs.ErrPermission)
	}
	return nil
}

// unmade says what to do where this process cannot make the directory.
func (d *directory) unmade(err error) error {
	if d.group == network.NoGroup || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	if _, stat := os.Stat(d.path); !errors.Is(stat, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("%w: the directory %s does not exist, and the user %s cannot make it: start a process of the user who shall own it, or have root make it with %s: %w",
		driver.ErrUnavailable, d.path, dirlock.User(os.Geteuid()), d.install("USER"), err)
}
