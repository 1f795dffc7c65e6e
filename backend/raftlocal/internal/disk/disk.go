// Package disk is what the log and the snapshots need of a file system: little enough that
// a faulty one can stand in for it.
package disk

import (
	"time"
)

// Op is a kind of call that [Memory] gets.
type Op uint8

// The kinds of calls.
const (
	OpCreate Op = iota + 1
	OpOpen
	OpRename
	OpRemove
	OpList
	OpSyncDir
	OpRead
	OpWrite
	OpSize
	OpSync
)

func (o Op) String() string {
	names := [...]string{"", "create", "open", "rename", "remove", "list", "syncdir", "read", "write", "size", "sync"}
	if int(o) < len(names) && o > 0 {
		return names[o]
	}
	return "unknown"
}

// Call is a call that Memory has got, and has not carried out yet.
type Call struct {
	Op    Op
	Name  string // of the file; of Rename: the old one
	Bytes int64  // of Create, Read, Write
}

// Hook decides how a call goes: it fails if there is an error, and takes a time, which
// is added to [Memory.Spent] whether it fails or not. What a failing call leaves behind is
// the worst that is usual: a Write leaves the sectors of its first half, a Sync drops what was written,
// so that no later one brings it to the disk although it is still read; a SyncDir, and
// whatever changes a name, leaves all as it was.
//
// A hook may panic to end the process that makes the call, before it has taken effect:
// what runs on top of Memory is then gone, and Memory is ready for Crash.
type Hook func(Call) (time.Duration, error)

// FailNth fails the n-th call of a kind, counted from 1 on, once; of any kind if op is 0.
func FailNth(op Op, n int, err error) Hook {
	return func(c Call) (time.Duration, error) {
		if op != 0 && c.Op != op {
			return 0, nil
		}
		if n--; n == 0 {
			return 0, err
		}
		return 0, nil
	}
}

// FS is a directory. Names have no slashes.
type FS interface {
	// Create makes a file of a size, filled with zeros, which must not exist. Neither its
	// data nor its name are durable before Sync and SyncDir.
	Create(name string, size int64) (File, error)
	// Open opens a file that exists, to read and to write.
	Open(name string) (File, error)
	// Rename replaces the file of the new name. It is durable after SyncDir.
	Rename(from, to string) error
	// Remove deletes a file. It is durable after SyncDir.
	Remove(name string) error
	// List returns the names of all files, sorted.
	List() ([]string, error)
	// SyncDir makes the names durable.
	SyncDir() error
	// Check returns nil if the directory is still ours, and files are in it that must be: those
	// that are open are the very ones. If it is not, the error is an [ErrLost]; another
	// means that this could not be found out. It may be called at any time, from any goroutine.
	Check(names ...string) error
}

// File is a file of a fixed size. After an error of Sync it is not known what is on the
// disk, and what a later Sync says means nothing: see fsyncgate.
type File interface {
	ReadAt(p []byte, off int64) (int, error)
	WriteAt(p []byte, off int64) (int, error)
	Size() (int64, error)
	Sync() error
	Close() error
}

// Cure is for a directory of which a part is missing or damaged: to go on without would be to forget votes, or
// what was acknowledged.
const Cure = "restore a directory that processes share from a backup or, without one, remove all that is in it when no process has it open, and wait until the longest TTL has passed; " +
	"empty that of a member of several, start it with join=true, and replace it by itself: Admin.ReplaceMember, or POST /members?remove=NAME&add=NAME=HOST:PORT"
