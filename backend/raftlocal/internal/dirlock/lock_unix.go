//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package dirlock

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

var errTaken = errors.New("it is taken")

func lock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			return errTaken
		default:
			return err
		}
	}
}

// OwnerOf returns the user whom a file belongs to, and the group.
func OwnerOf(found fs.FileInfo) (uid, gid int, ok bool) {
	s, ok := found.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(s.Uid), int(s.Gid), true
}

// inode names a directory on this machine, for as long as it exists.
type inode struct {
	Device uint64 `json:"device"`
	Number uint64 `json:"number"`
}

func inodeOf(f *os.File) (inode, error) {
	found, err := f.Stat()
	if err != nil {
		return inode{}, err
	}
	s, ok := found.Sys().(*syscall.Stat_t)
	if !ok {
		return inode{}, errors.New("this file system has no inodes")
	}
	return inode{uint64(s.Dev), s.Ino}, nil //nolint:gosec,unconvert // its type is another on each system
}
