package raftbench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fencelock/fencelock/bench/internal/etcdbench"
	"github.com/fencelock/fencelock/bench/internal/server"
)

// AddrVariable names the environment variable with the address of a running member.
const AddrVariable = "FENCELOCK_RAFT_ADDR"

// cluster is the name of the clusters that are started here, and that a running one must have.
const cluster = "bench"

// starter starts members, each a process of its own with a log on disk, and an etcd of as many members beside them, if
// there is one. An address has both: those of the members, a semicolon, those of etcd.
func starter(members int) func(ctx context.Context, addr string) (*server.Server, error) {
	return func(ctx context.Context, addr string) (*server.Server, error) {
		if addr != "" {
			return server.Start(ctx, addr, nil, 10*time.Second, ask)
		}
		ours, err := server.StartSeveral(ctx, members, command, 20*time.Second, ask)
		if err != nil {
			return nil, err
		}
		ours.Addr = leaderFirst(ctx, ours.Addr)
		theirs, err := etcdbench.StartSeveral(ctx, members)
		if err != nil {
			fmt.Fprintln(os.Stderr, "without etcd beside it:", err)
			return ours, nil
		}
		return ours.With(theirs), nil
	}
}

// leaderFirst has the leader's address before the others: it is the one that is counted, and asked.
func leaderFirst(ctx context.Context, addrs string) string {
	first, err := leader(ctx, addrs, false)
	if err != nil {
		return addrs
	}
	others := slices.DeleteFunc(strings.Split(addrs, ","), func(addr string) bool { return addr == first })
	return strings.Join(append([]string{first}, others...), ",")
}

func leader(ctx context.Context, addr string, elsewhere bool) (string, error) {
	ours, theirs := split(addr)
	if elsewhere {
		return etcdbench.Leader(ctx, theirs)
	}
	for _, addr := range ours {
		if s, err := statusOf(ctx, addr); err == nil && s.Serving {
			return addr, nil
		}
	}
	return "", errors.New("no member leads")
}

// Member is the word that makes this program run a member instead: its first argument, before the member's URL.
const Member = "member"

func command(i int, addrs []string, dir string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var peers []string
	for n, addr := range addrs {
		peers = append(peers, fmt.Sprintf("m%d=%s", n+1, addr))
	}
	url := fmt.Sprintf("raft://%s?id=m%d&cluster=%s&insecure=true&peers=%s", filepath.Join(dir, "raft"), i+1, cluster, strings.Join(peers, ","))
	return exec.Command(self, Member, url), nil
}

type status struct {
	Leader  string
	Serving bool // it leads
	Log     struct{ Committed, Frames float64 }
}

// ask is content with a member that knows a leader.
func ask(ctx context.Context, addr string) (string, error) {
	s, err := statusOf(ctx, addr)
	if err == nil && s.Leader == "" {
		err = errors.New("it has no leader yet")
	}
	return "fencelock member", err
}

func statusOf(ctx context.Context, addr string) (s status, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/status", nil)
	if err != nil {
		return s, err
	}
	r, err := http.DefaultClient.Do(request)
	if err != nil {
		return s, fmt.Errorf("asking the member: %w", err)
	}
	defer func() { _ = r.Body.Close() }()
	return s, json.NewDecoder(r.Body).Decode(&s)
}
