//go:build unix

package disk

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// syncNames makes the names in a directory that is open durable.
func syncNames(d *os.File) error { return d.Sync() }

// checkPermissions refuses a directory to which others may write. The cure is never to close one that others
// need: chmod 700 on /tmp breaks the machine.
func checkPermissions(root *os.Root, mode fs.FileMode) error {
	if mode.Perm()&0o022 == 0 {
		return nil
	}
	shown, cure := mode.Perm(), "make it the owner's with chmod 700"
	if mode&fs.ModeSticky != 0 {
		shown |= 0o1000
	}
	if path := root.Name(); mode&fs.ModeSticky != 0 || ofTheSystem(path) || !ours(root) {
		cure = "it is not for locks alone: leave it as it is, and name a directory that is, such as /var/lib/app/locks or " + filepath.Join(path, "locks") + ", which is made if its user may make it"
	}
	return fmt.Errorf("others may write to %s, and so change the log (its mode is %04o): %s", root.Name(), shown, cure)
}

// ofTheSystem reports whether a directory is / or one right beneath it, which has a purpose.
func ofTheSystem(path string) bool {
	return filepath.Dir(path) == "/" || slices.Contains([]string{"/dev/shm", "/var/lib", "/var/lock", "/var/run", "/var/tmp", "/run/lock"}, path)
}

// ours reports whether a directory is empty, or has a log in it.
func ours(root *os.Root) bool {
	names, err := fs.ReadDir(root.FS(), ".")
	_, owner := root.Stat(ownerFile)
	return err == nil && (len(names) == 0 || owner == nil)
}

// ownerFile is in each directory that has been served: see package dirlock.
const ownerFile = "owner"
