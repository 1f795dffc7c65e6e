package wal

import (
	"errors"
	"fmt"
)

// ErrDamaged means that what was written cannot be read back.
var ErrDamaged = errors.New("damaged")

// damage is an ErrDamaged that says where, and what to do.
func damage(file string, off int64, format string, what ...any) error {
	return fmt.Errorf("the log is %w: %s, at byte %d: %s; it may have held what was acknowledged, so nothing is dropped: "+
		"restore the directory from a backup, or remove this member from the cluster and add it under a new id with an empty directory",
		ErrDamaged, file, off, fmt.Sprintf(format, what...))
}
