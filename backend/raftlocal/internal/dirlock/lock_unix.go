//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package dirlock

import (
	"errors"
	"fmt"
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

// checkOwner refuses the directory of another user: the files that we would make there would be
// of no use to that user's processes.
func checkOwner(root *os.Root) error {
	found, err := root.Stat(".")
	if err != nil {
		return err
	}
	s, ok := found.Sys().(*syscall.Stat_t)
	if uid := os.Geteuid(); ok && int(s.Uid) != uid {
		return fmt.Errorf("the directory %s belongs to the user %d, and this process runs as %d: run all processes that share it as one user, or give it away with chown -R %d",
			root.Name(), s.Uid, uid, uid)
	}
	return nil
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
