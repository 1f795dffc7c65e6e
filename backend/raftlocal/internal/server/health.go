package server

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

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
	case !s.begun.Load():
		return s.unbegun()
	case len(role.members) == 0:
		return errors.New("this member waits to be added to the cluster: Admin.AddMember, or POST /members?add=NAME=HOST:PORT; for one that has lost its directory Admin.ReplaceMember, or with remove=NAME as well")
	case time.Since(s.loop.start)-time.Duration(s.turned.Load()) > hungFor:
		return fmt.Errorf("the disk of this member has not answered for more than %v", hungFor)
	case role.leader.ID == 0:
		return s.leaderless()
	}
	return nil
}

// leaderless says why there is no leader, as far as this member knows.
func (s *Server) leaderless() error {
	var missing, there []string
	for _, p := range s.Peers() {
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
