package server

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

// A leader is told of by name: not while it has none, as for a member that waits to be added, and then once.
func TestALeaderWithoutANameIsNotLogged(t *testing.T) {
	var log bytes.Buffer
	s := &clusterLog{self: &self{logger: slog.New(slog.NewTextHandler(&log, nil)), id: 1}}
	s.tellRole(nil, statemachine.Member{ID: 2}, nil)
	if log.Len() > 0 || s.leader.ID != 0 {
		t.Error(log.String())
	}
	all := []statemachine.Member{{ID: 1, Name: "a", Addr: "h:1"}, {ID: 2, Name: "b", Addr: "h:2"}}
	for range 2 {
		s.tellRole(nil, all[1], all)
	}
	if text := log.String(); strings.Count(text, "there is a leader") != 1 || !strings.Contains(text, "leader=b addr=h:2") {
		t.Error(text)
	}
}
