package disk

import "time"

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
