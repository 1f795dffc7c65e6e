// Package disk is what the log and the snapshots need of a file system: little enough that
// a faulty one can stand in for it.
package disk

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
