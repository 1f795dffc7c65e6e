//go:build !unix

package disk

import (
	"io/fs"
	"os"
)

// syncNames does nothing: where directories cannot be synced, the file system's journal
// keeps names in order.
func syncNames(*os.File) error { return nil }

func checkPermissions(*os.Root, fs.FileMode) error { return nil }
