package raftbench

import (
	"context"
	"strings"

	"github.com/fencelock/fencelock/backend/raftlocal/proposer"

	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/etcdbench"
	"github.com/fencelock/fencelock/bench/internal/ours"
)

// Names used by the budgets.
const (
	bareName = "bare proposal"
	onEtcd   = "etcd: " // before the names of those that compete there
)

// split takes an address apart: see starter.
func split(addr string) (ours, etcd []string) {
	raft, rest, beside := strings.Cut(addr, ";")
	if beside {
		etcd = strings.Split(rest, ",")
	}
	return strings.Split(raft, ","), etcd
}

// Contestants lists ours first, then the floor, and then whoever competes on etcd.
func Contestants(addr string) []contest.Contestant {
	raft, etcd := split(addr)
	all := []contest.Contestant{ours.Contestant(strings.Join(raft, ","), "is told by a push, in order", url), floor(raft)}
	if len(etcd) == 0 {
		return all
	}
	for _, c := range etcdbench.Contestants(strings.Join(etcd, ",")) {
		if c.Floor {
			continue // that of another server
		}
		c.Name, c.Elsewhere = onEtcd+c.Name, true
		all = append(all, c)
	}
	return all
}

func url(addr string) string {
	return "raft://" + addr + "?insecure=true&cluster=" + cluster + "&namespace=" + ours.Namespace
}

// floor is two entries that change nothing, in the place of Lock and Unlock. It excludes nobody, so it stands in no line.
func floor(addrs []string) contest.Contestant {
	return contest.Contestant{
		Name: bareName, Bare: true, Floor: true, Waits: "not at all: it excludes nobody",
		Open: func(ctx context.Context, o contest.Options) (contest.Client, error) {
			p, err := proposer.Open(ctx, cluster, addrs)
			if err != nil {
				return nil, err
			}
			return bareClient{p}, nil
		},
	}
}

type bareClient struct{ *proposer.Proposer }

func (c bareClient) Lock(ctx context.Context, _ string) (contest.Held, error) {
	if err := c.Propose(ctx); err != nil {
		return nil, err
	}
	return bareHeld(c), nil
}

type bareHeld struct{ *proposer.Proposer }

func (h bareHeld) Release(ctx context.Context) error { return h.Propose(ctx) }
