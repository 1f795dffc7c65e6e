//go:build unix

package disk

import (
	"fmt"
	"io/fs"
	"os"
)

// syncNames makes the names in a directory that is open durable.
func syncNames(d *os.File) error { return d.Sync() }

func checkPermissions(path string, mode fs.FileMode) error {
	if mode.Perm()&0o022 == 0 {
		return nil
	}
	return fmt.Errorf("others may write to %s, and so change the log (its mode is %04o): make it the owner's with chmod 700", path, mode.Perm())
}
