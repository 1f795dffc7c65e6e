package shared

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/dirlock"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/network"
)

// groupMode is what a directory has that is shared with a group: its users may come to the socket, and
// see names. They cannot open any file, and what is made in it is the group's.
const groupMode = fs.ModeSetgid | 0o750

// LookupGroup returns the number of a group, which is given by its name or by the number.
func LookupGroup(name string) (int, error) {
	g, err := user.LookupGroup(name)
	if err == nil {
		name = g.Gid
	}
	// The highest number means none to chown.
	if n, bad := strconv.ParseUint(name, 10, 32); bad == nil && n < 1<<32-1 {
		return int(n), nil
	}
	return 0, fmt.Errorf("there is no such group on this machine: make it with groupadd, or write its number: %w", err)
}

// fits reports whether a directory is the group's, with the right mode. One that its users
// cannot even list is left like that.
func (d *directory) fits(found fs.FileInfo) bool {
	_, gid, _ := dirlock.OwnerOf(found)
	mode := found.Mode() & (fs.ModePerm | fs.ModeSetgid)
	return gid == d.group && mode|0o040 == groupMode
}

// share prepares what admit does to a directory that may not be locked yet. It makes those above that
// were missing the group's: their users are to get through. And it refuses a directory with something
// else in it, such as somebody's home, before others are let in.
func (d *directory) share(root *os.Root, above []string) error {
	if d.group == network.NoGroup {
		return nil
	}
	for _, path := range above {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		if err := errors.Join(d.give(f), f.Close()); err != nil {
			return err
		}
	}
	found, err := root.Stat(".")
	if err != nil || d.fits(found) {
		return err
	}
	names, err := fs.ReadDir(root.FS(), ".")
	// A file system that is mounted there has a directory of its own.
	names = slices.DeleteFunc(names, func(name fs.DirEntry) bool { return name.Name() == "lost+found" })
	if err != nil || len(names) == 0 {
		return err
	}
	if _, err := root.Stat(dirlock.File); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the directory %s has other files in it, and so is not opened to the group %s: name an empty one, or one that is not there", d.path, dirlock.Group(d.group))
	} else if err != nil {
		return err
	}
	return nil
}

// admit opens a directory that we have locked to the group, and nothing that is in it but the socket.
// Files of another user are refused: at the next start, or at a take-over, some could be read
// and some not.
func (d *directory) admit(root *os.Root) error {
	names, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := d.close(root, name); err != nil {
			return err
		}
	}
	if d.group == network.NoGroup {
		return nil
	}
	f, err := root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(d.give(f), f.Close())
}

// close sees to it that a file is ours alone.
func (d *directory) close(root *os.Root, name fs.DirEntry) error {
	if !name.Type().IsRegular() {
		return nil
	}
	found, err := name.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil // somebody tidies up
	}
	if err != nil {
		return err
	}
	us := os.Geteuid()
	if uid, _, ok := dirlock.OwnerOf(found); ok && uid != us && us != 0 {
		return fmt.Errorf("the file %s belongs to the user %s, and the directory to %s: end all processes that use the directory, and give it away whole, as root, with chown -R %d %s",
			filepath.Join(d.path, name.Name()), dirlock.User(uid), dirlock.User(us), us, d.path)
	}
	if d.group != network.NoGroup && found.Mode().Perm()&0o077 != 0 {
		return root.Chmod(name.Name(), 0o600)
	}
	return nil
}

// give makes a directory the group's. The group comes before its rights.
func (d *directory) give(f *os.File) error {
	found, err := f.Stat()
	if err != nil || d.fits(found) {
		return err
	}
	if err = f.Chown(-1, d.group); err == nil {
		err = f.Chmod(groupMode)
	}
	if err == nil {
		// Who is not in the group is not told that the mode has not become what it should.
		if found, err = f.Stat(); err == nil && !d.fits(found) {
			err = fs.ErrPermission
		}
	}
	if errors.Is(err, fs.ErrPermission) {
		us := dirlock.User(os.Geteuid())
		return fmt.Errorf("group=: the user %s cannot give the directory %s to the group %s: add the user to the group, with usermod -aG, and start its processes again, or have root make the directory with %s: %w",
			us, filepath.Clean(f.Name()), dirlock.Group(d.group), d.install(strconv.Itoa(os.Geteuid())), err)
	}
	return err
}

// install is the command with which root makes the directory.
func (d *directory) install(owner string) string {
	return fmt.Sprintf("install -d -o %s -g %d -m 2750 %s", owner, d.group, d.path)
}

// missing are the directories above a path that do not exist.
func missing(path string) (above []string) {
	for path = filepath.Dir(path); ; path = filepath.Dir(path) {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return above
		}
		above = append(above, path)
	}
}
