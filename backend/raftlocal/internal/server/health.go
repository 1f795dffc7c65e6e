package server

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/dirlock"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
)

// watched is the member's directory. The first to find that it is not the member's any more, the log
// before it says that something is written, the loop, or watch while the loop waits for the
// disk, has told the clients when it hears of it.
type watched struct {
	disk.FS
	*self
	void func(why error)
}

func (w *watched) Check(names ...string) error {
	err := w.FS.Check(names...)
	if errors.Is(err, disk.ErrLost) {
		w.void(err)
	}
	return err
}

// mender is a listener that may have been removed, as a socket in a directory may.
type mender interface {
	// Mend makes it again if it was, and reports that.
	Mend() (bool, error)
}

// watch looks after what others may remove. That the directory is lost ends the member in its
// loop, which does not look while it waits for a disk that hangs: so clients are told from here.
func (w *watched) watch() {
	listener, _ := w.cfg.Listener.(mender)
	var told string
	for w.pause(dirlock.Watch) {
		mended := false
		err := w.Check()
		if err == nil && listener != nil {
			mended, err = listener.Mend()
		}
		switch {
		case mended:
			w.logger.Warn("the socket was removed, and is there again", "member", w.cfg.Member.Name, "address", w.cfg.Listener.Addr().String())
		case err == nil:
			told = ""
		case errors.Is(err, disk.ErrLost): // the loop ends with it, and tells
		case told != err.Error():
			told = err.Error()
			w.logger.Error("what this member is reached by or writes to cannot be looked after", "member", w.cfg.Member.Name, "error", err)
		}
	}
}

// hungFor is how long the loop may take for a turn until the disk is said to hang. A sync of a busy
// disk takes some tenths of a second.
const hungFor = 2 * time.Second

// Health is why locks are not to be had by way of this member, in a line that is the same as long as
// that is, or nil: it is in a cluster and knows a leader, which by that has had a majority within an
// election timeout. It does not wait for the loop, which may wait for the disk.
func (s *Server) Health() error {
	role := s.role.Load()
	switch trouble, ended := s.Trouble(), s.Err(); {
	case trouble != nil:
		return trouble
	case ended != nil:
		return ended
	case !s.bootstrapped.Load():
		return s.beginnings.notYet()
	case len(role.members) == 0:
		return errors.New("this member waits to be added to the cluster: Admin.AddMember, or POST /members?add=NAME=HOST:PORT; for one that has lost its directory Admin.ReplaceMember, or with remove=NAME as well")
	case s.age()-time.Duration(s.turned.Load()) > hungFor:
		return fmt.Errorf("the disk of this member has not answered for more than %v", hungFor)
	case role.leader.ID == 0:
		return leaderless(s.Peers())
	}
	return nil
}

// Scarce reports whether the member waits for room on the disk, or for file descriptors.
func (s *Server) Scarce() bool { return s.scarce.why() != nil }

// Trouble is why the server has ended or what keeps it from going on, or nil.
func (s *Server) Trouble() error {
	switch ended, voided := s.Err(), s.clients.voidedBy(); {
	case ended != nil && !errors.Is(ended, ErrStopped):
		return ended
	case voided != nil:
		return voided
	}
	return s.scarce.why()
}

// leaderless says why there is no leader, as far as this member knows that reaches the others so.
func leaderless(peers []PeerState) error {
	var missing, there []string
	for _, p := range peers {
		if p.Connected {
			there = append(there, p.Name)
		} else {
			missing = append(missing, away(p))
		}
	}
	text := "no leader is known"
	if len(missing) > 0 {
		text += ": not reached: " + strings.Join(missing, ", ")
	}
	if len(there) > 0 {
		text += ": reached: " + strings.Join(there, ", ")
	}
	return errors.New(text)
}

// away tells of a member that is not reached, and why, if that is known.
func away(p PeerState) string {
	text := p.Name + " at " + p.Addr
	if p.Err != "" {
		text += " (" + p.Err + ")"
	}
	return text
}
