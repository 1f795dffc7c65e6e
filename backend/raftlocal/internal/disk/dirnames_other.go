//go:build !unix

package disk

import "io/fs"

// syncNames does nothing: where directories cannot be synced, the file system's journal
// keeps names in order.
func syncNames(string) error { return nil }

func checkPermissions(string, fs.FileMode) error { return nil }
