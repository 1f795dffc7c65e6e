package raftlocal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/dirlock"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/founding"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/machine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/server"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/shared"
	"github.com/fencelock/fencelock/driver/address"
)

// Restore makes a new directory of a backup: for processes that share it if c has no ID, and
// otherwise for that member of a new cluster, whose members are c.Peers. All members of the
// new cluster must be restored from the same backup, and refuse each other if they are not. They
// begin with it when all of them have been started, as those of any new cluster do. Of c it takes
// Dir, ID, Cluster and Peers; at is time.Now().
//
// Tokens of the restored cluster are higher than any that was granted before or after the backup
// was taken: by 2^32 at least, and as high as the number of microseconds since 1970 was at that time, the
// latest of all members. So what
// protects a resource by tokens keeps out holders from before. The members that the backup was
// taken from must not run any more: their locks and those of the new cluster exclude
// nobody from the other.
//
// A directory with anything in it is refused. After an error it is empty, or must be removed.
func Restore(c Config, backup io.Reader, at time.Time) error {
	alone := c.ID == ""
	c, err := c.checkRestore()
	if err != nil {
		return err
	}
	_, state, err := readBackup(backup)
	if err != nil {
		return err
	}
	was, err := machine.Restore(state)
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
	err = restoreTo(lock.Files(), c, alone, state, tokenBase(was.Stats().LastToken, at))
	return errors.Join(err, lock.Release())
}

// restoreTo puts a state where a member begins with it: one that is alone at once, the others
// when they have all been started and have agreed.
func restoreTo(files disk.FS, c Config, alone bool, state []byte, base uint64) error {
	if alone {
		return server.Found(member.Config{
			Name: c.ID, Cluster: c.Cluster, FS: files, State: state, TokenBase: base,
			Members: []machine.Member{{ID: member.ID(c.Cluster, c.ID), Name: c.ID}},
		})
	}
	// The log, which makes a member of the directory, comes last.
	if err := founding.SaveState(files, state); err != nil {
		return err
	}
	if err := founding.Save(files, founding.Saved{Base: base}); err != nil {
		return err
	}
	_, _, err := member.Draw(member.Config{Name: c.ID, Cluster: c.Cluster, FS: files})
	return err
}

// tokenBase is above all tokens that the old cluster can have granted.
func tokenBase(last uint64, at time.Time) uint64 {
	return max(last+1<<32, uint64(max(at.UnixMicro(), 0)))
}

// checkRestore takes of a Config what a restored directory needs.
func (c Config) checkRestore() (Config, error) {
	r := Config{Dir: c.Dir, ID: c.ID, Cluster: c.Cluster, Peers: c.Peers}
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
	return r, checkFounders(len(r.Peers))
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
func named(c Config) []machine.Member {
	var all []machine.Member
	for _, p := range c.Peers {
		all = append(all, machine.Member{Name: p.Name, Addr: p.Addr})
	}
	return all
}
