package server

import (
	"context"
	"os/exec"
	"strings"
	"time"
)

// A MemberCommand is what runs one of several servers that know each other: the i-th of addrs.
type MemberCommand func(i int, addrs []string, dir string) (*exec.Cmd, error)

// StartSeveral runs n servers that form a cluster, and returns once all of them answer. Their addresses are one, with
// commas between.
func StartSeveral(ctx context.Context, n int, command MemberCommand, limit time.Duration, probe Probe) (*Server, error) {
	addrs := make([]string, n)
	for i := range addrs {
		var err error
		if addrs[i], err = FreeAddr(); err != nil {
			return nil, err
		}
	}
	all := &Server{Addr: strings.Join(addrs, ",")}
	for i, addr := range addrs {
		one, err := launchAt(addr, func(_, dir string) (*exec.Cmd, error) { return command(i, addrs, dir) })
		if err != nil {
			all.Stop()
			return nil, err
		}
		one.limit, one.probe = limit, probe
		all.others = append(all.others, one)
	}
	for _, one := range all.others {
		if err := one.await(ctx); err != nil {
			all.Stop()
			return nil, err
		}
		all.Version = one.Version
	}
	return all, nil
}

// With makes one of two servers that are measured beside each other: their addresses with a semicolon between.
func (s *Server) With(other *Server) *Server {
	return &Server{Addr: s.Addr + ";" + other.Addr, Version: s.Version + " beside " + other.Version, others: []*Server{s, other}}
}
