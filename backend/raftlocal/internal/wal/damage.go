package wal

import (
	"errors"
	"fmt"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
)

// ErrDamaged means that what was written cannot be read back.
var ErrDamaged = errors.New("damaged")

// damage is an ErrDamaged that says where, and what to do.
func damage(file string, off int64, format string, what ...any) error {
	return fmt.Errorf("the log is %w: %s, at byte %d: %s; it may have held what was acknowledged, so nothing is dropped: %s",
		ErrDamaged, file, off, fmt.Sprintf(format, what...), disk.Cure)
}
