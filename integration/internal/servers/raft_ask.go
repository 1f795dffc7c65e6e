package servers

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
)

// raftStatus is the part of a member's status that is needed here.
type raftStatus struct {
	Member, Leader string
	Serving        bool
	Term           uint64
}

func raftAsk(ctx context.Context, addr string) (s raftStatus, err error) {
	answer, err := httpSend(ctx, http.MethodGet, addr, "/status", "")
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(answer, &s)
}

// raftPing is content with a member that knows a leader.
func raftPing(ctx context.Context, addr string) error {
	s, err := raftAsk(ctx, addr)
	if err == nil && s.Leader == "" {
		err = errors.New("it knows no leader yet")
	}
	return err
}

// raftVersion is that of the program: a member does not tell it.
func raftVersion(ctx context.Context, addr string) (string, error) {
	_, err := raftAsk(ctx, addr)
	return "0.1", err
}

func raftStanding(ctx context.Context, addr string) (standing, error) {
	s, err := raftAsk(ctx, addr)
	return standing{leads: s.Serving, term: s.Term}, err
}
