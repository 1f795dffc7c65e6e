package server

import (
	"slices"
	"strings"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

// clusterLog is what was logged of the cluster last. It belongs to the loop.
type clusterLog struct {
	*self
	peers func() []PeerState

	leader     statemachine.Member // the last that there was
	members    []statemachine.Member
	leaderless uint64 // ticks without a leader
	told       bool   // that there is none
	changes    uint64 // of the leader
}

// leaderlessTicks is after how many ticks it is told that there is no leader: an election takes half as long,
// and needs no line in the log.
const leaderlessTicks = uint64(2 * time.Second / tick)

// tellRole tells who leads and who the members are, when that has changed.
func (n *clusterLog) tellRole(m *member.Member, leader statemachine.Member, members []statemachine.Member) {
	log := n.logger.With("cluster", n.cfg.Member.Cluster, "member", n.cfg.Member.Name)
	switch {
	case len(members) == 0:
	case n.members == nil && len(members) == 1:
		log.Info("this process serves the locks")
	case n.members == nil:
		log.Info("this member is in its cluster", "members", bookOf(members))
	default:
		n.tellChange(n.members, members)
	}
	if len(members) > 0 {
		n.members = slices.Clone(members)
	}
	// Who waits to be added, or was replaced, hears a leader whom it cannot name.
	if leader.ID == 0 || leader.Name == "" || leader.ID == n.leader.ID && !n.told {
		return
	}
	switch {
	case len(members) == 1: // which says nothing
	case leader.ID == n.id:
		log.Info("this member leads", "term", m.Status().Term, "before", n.leader.Name)
	case n.leader.ID == 0, leader.ID == n.leader.ID, n.told:
		log.Info("there is a leader", "leader", leader.Name, "addr", leader.Addr)
	default:
		log.Info("the leader has changed", "leader", leader.Name, "addr", leader.Addr, "before", n.leader.Name)
	}
	if leader.ID != n.leader.ID {
		n.changes++
	}
	n.leader, n.told = leader, false
}

// tellChange tells who has come, and who has gone.
func (n *clusterLog) tellChange(was, are []statemachine.Member) {
	log := n.logger.With("cluster", n.cfg.Member.Cluster, "member", n.cfg.Member.Name)
	missing := func(all []statemachine.Member, m statemachine.Member) bool {
		return !slices.ContainsFunc(all, func(o statemachine.Member) bool { return o.ID == m.ID })
	}
	for _, m := range are {
		if !missing(was, m) {
			continue
		}
		if slices.ContainsFunc(was, func(o statemachine.Member) bool { return o.Name == m.Name }) {
			log.Info("a member is replaced by itself, with another directory", "peer", m.Name, "addr", m.Addr)
		} else {
			log.Info("a member is added", "peer", m.Name, "addr", m.Addr)
		}
	}
	for _, m := range was {
		switch again := slices.ContainsFunc(are, func(o statemachine.Member) bool { return o.Name == m.Name }); {
		case !missing(are, m):
		case again:
			log.Info("a member's directory from before is out of the cluster", "peer", m.Name)
		default:
			log.Info("a member is removed", "peer", m.Name, "addr", m.Addr)
		}
	}
}

// tick counts the ticks without a leader, and tells of one that is missing for long.
func (n *clusterLog) tick() {
	role := n.role.Load()
	if role.leader.ID != 0 || len(role.members) == 0 {
		n.leaderless = 0
		return
	}
	if n.leaderless++; n.leaderless >= leaderlessTicks && !n.told {
		n.told = true
		n.logger.Warn("there is no leader: no lock can be had until a majority of the members reach each other",
			"cluster", n.cfg.Member.Cluster, "member", n.cfg.Member.Name, "before", n.leader.Name, "reason", leaderless(n.peers()))
	}
}

// warnOfPeers tells of members that are not in peers=. A member with an empty directory can ask only
// those that are: one that began alone, and is to begin alone again, would ask nobody.
func (n *clusterLog) warnOfPeers() {
	var lacks []string
	for _, m := range n.role.Load().members {
		if len(n.cfg.Peers) > 0 && !slices.ContainsFunc(n.cfg.Peers, func(p statemachine.Member) bool { return p.Name == m.Name }) {
			lacks = append(lacks, m.Name)
		}
	}
	if len(lacks) > 0 {
		n.logger.Warn("peers= lacks members of the cluster: list them, since they are whom this member asks if it loses its directory",
			"cluster", n.cfg.Member.Cluster, "member", n.cfg.Member.Name, "lacks", strings.Join(lacks, ", "))
	}
}

func bookOf(members []statemachine.Member) string {
	var all []string
	for _, m := range members {
		all = append(all, strings.TrimSuffix(m.Name+"="+m.Addr, "="))
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}
