package raftlocal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/bootstrap"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/dirlock"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/server"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/shared"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
	"github.com/fencelock/fencelock/driver/address"
)

// Restore makes a new directory of a backup: for processes that share it if c has no ID, and
// otherwise for that member of a new cluster, whose members are c.Peers. All members of the
// new cluster must be restored from the same backup, and refuse each other if they are not. They
// begin with it when all of them have been started, as those of any new cluster do. Of c it takes
// Dir, ID, Cluster, Peers and Logger; at is time.Now().
//
// Tokens of the restored cluster are higher than any that was granted before, also after the backup was taken,
// and also by a cluster that was restored from the same backup or from another: they begin at the number of
// microseconds since 1970, the latest of all members, as those of every cluster do, and rise more slowly.
// So what protects a resource by tokens keeps out holders from before. That holds as long as no clock was
// set back by more than passed since. A clock that is more than a minute behind the backup is seen: then, and
// where the backup's own tokens are ahead of its time, c.Logger is warned, since a new cluster with
// empty directories would begin below.
//
// The members that the backup was taken from, or that were in their place since, must have ended before: their
// locks and those of the new cluster exclude nobody from the other.
//
// A directory with anything in it is refused. After an error it is empty, or must be removed.
func Restore(o *Options, backup io.Reader, at time.Time) error {
	c := o.value()
	alone := c.ID == ""
	logger := server.Logger(c.Logger)
	c, err := c.checkRestore()
	if err != nil {
		return err
	}
	from, state, err := readBackup(backup)
	if err != nil {
		return err
	}
	was, err := statemachine.Restore(state)
	if err != nil {
		return fmt.Errorf("the backup: %w", err)
	}
	root, err := disk.Open(c.Dir)
	if err != nil {
		return err
	}
	if err := checkEmpty(root); err != nil {
		return errors.Join(err, root.Close())
	}
	lock, err := dirlock.Take(root, dirlock.Owner{Cluster: c.Cluster, Member: c.ID})
	if err != nil {
		return err
	}
	base, ahead := tokenBase(was.Highest(from.Index), from.Time, at)
	if ahead > 0 {
		logger.Warn("the tokens of the restored locks begin ahead of the clock, which is behind the backup or was when that was taken: set the clock right; to begin again with empty directories before it is ahead of them, set token_base=",
			"ahead", ahead, "backup", from.Time, "clock", at)
	}
	err = restoreTo(lock.Files(), c, alone, state, base)
	return errors.Join(err, lock.Release())
}

// restoreTo puts a state where a member begins with it: one that is alone at once, the others
// when they have all been started and have agreed.
func restoreTo(files disk.FS, c Options, alone bool, state []byte, base uint64) error {
	if alone {
		return server.Bootstrap(member.Config{
			Name: c.ID, Cluster: c.Cluster, FS: files, State: state, TokenBase: base,
			Members: []statemachine.Member{{ID: member.ID(c.Cluster, c.ID), Name: c.ID}},
		})
	}
	// The log, which makes a member of the directory, comes last.
	if err := bootstrap.SaveState(files, state); err != nil {
		return err
	}
	if err := bootstrap.Save(files, bootstrap.Saved{Base: base}); err != nil {
		return err
	}
	_, _, err := member.Draw(member.Config{Name: c.ID, Cluster: c.Cluster, FS: files})
	return err
}

// skew is how much the clocks of a cluster's machines may differ.
const skew = time.Minute

// tokenBase is above all tokens and numbers that can have been given when a cluster is restored at a time, from a backup that
// was taken at another and has none above highest. ahead is by how much it is above the time.
//
// Each life of a cluster begins at the clock, and none makes a million of them in a second, so all of them are below
// the clock, whichever life they are of: the clock is a base, and nothing need be known of the lives between. A
// base above the clock would do for the first restore only: the second would have the same, and a life
// that begins with nothing would be below. So there is one only where the clock is no measure. If
// what is in the backup was ahead of its clock, so may be all since, by as much. If the clock is behind the backup, nobody
// knows what was given since.
func tokenBase(highest uint64, taken, at time.Time) (base uint64, ahead time.Duration) {
	micro := func(t time.Time) uint64 { return uint64(max(t.UnixMicro(), 0)) }
	if taken.IsZero() {
		taken = at
	}
	passed := at.Sub(taken)
	base = micro(taken)
	if highest > base {
		base = highest + uint64(skew.Microseconds())
	}
	base += uint64(max(passed, 0).Microseconds())
	if passed < -skew {
		base = max(base, highest+1<<32)
	}
	if now := micro(at.Add(skew)); base > now {
		ahead = time.Duration(base-now)*time.Microsecond + skew
	}
	return base, ahead
}

// checkRestore takes of the Options what a restored directory needs.
func (c Options) checkRestore() (Options, error) {
	r := Options{Dir: c.Dir, ID: c.ID, Cluster: c.Cluster, Peers: c.Peers}
	if r.ID == "" {
		r, err := r.check()
		r.ID, r.Cluster, r.Peers = shared.Member, shared.Cluster, []Peer{{Name: shared.Member}}
		return r, err
	}
	r.Insecure = true // nobody is spoken to
	r, err := r.check()
	if err != nil {
		return r, err
	}
	return r, checkInitialMembers(len(r.Peers))
}

// checkEmpty refuses a directory that has something in it, but for the lock.
func checkEmpty(dir *os.Root) error {
	entries, err := fs.ReadDir(dir.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != dirlock.File {
			return address.Invalid("%s is not empty: it has %s: name a new directory to restore to, so that nothing is lost by mistake", dir.Name(), e.Name())
		}
	}
	return nil
}

// named are the members of peers=, by name and address. Their ids are drawn.
func named(c Options) []statemachine.Member {
	var all []statemachine.Member
	for _, p := range c.Peers {
		all = append(all, statemachine.Member{Name: p.Name, Addr: p.Addr})
	}
	return all
}

// A backup is a magic word, the length of the label in four bytes, the label, the state, and the
// SHA-256 of all that.
const backupMagic = "fencebk1"

// label says where a backup is from. It is for people.
type label struct {
	Cluster string    `json:"cluster"`
	Index   uint64    `json:"index"`
	Time    time.Time `json:"time"` // by the member's wall clock
}

func appendBackup(dst []byte, s member.Status, state []byte) []byte {
	at := len(dst)
	l, err := json.Marshal(label{s.Cluster, s.Applied, time.Now().UTC()})
	if err != nil {
		panic(err) // of what is in a label none can fail
	}
	dst = append(dst, backupMagic...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(l)))
	dst = append(append(dst, l...), state...)
	sum := sha256.Sum256(dst[at:])
	return append(dst, sum[:]...)
}

// maxBackup is the most that is read.
const maxBackup = 2 << 30

var errBackup = errors.New("this is not a whole backup: take one with Admin.Backup or GET /backup, and do not change it")

func readBackup(r io.Reader) (l label, state []byte, err error) {
	b, err := io.ReadAll(io.LimitReader(r, maxBackup))
	if err != nil {
		return l, nil, fmt.Errorf("reading the backup: %w", err)
	}
	const head = len(backupMagic) + 4
	if len(b) < head+sha256.Size || string(b[:len(backupMagic)]) != backupMagic {
		return l, nil, errBackup
	}
	end := len(b) - sha256.Size
	if sum := sha256.Sum256(b[:end]); !bytes.Equal(sum[:], b[end:]) {
		return l, nil, errBackup
	}
	n := uint64(binary.BigEndian.Uint32(b[len(backupMagic):]))
	if n > uint64(end-head) || json.Unmarshal(b[head:head+int(n)], &l) != nil {
		return l, nil, errBackup
	}
	return l, b[head+int(n) : end], nil
}
