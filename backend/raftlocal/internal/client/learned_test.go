package client

import (
	"errors"
	"strings"
	"testing"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

// Who serves a directory has no address: nobody looks for it there, or says that it has not answered there.
func TestNoAddressIsNotLearned(t *testing.T) {
	s := &search{client: &Client{cfg: Config{Addrs: []string{"/dir"}}}}
	s.learn(wire.Welcome{Members: []wire.Member{{ID: 1, Name: "directory"}, {ID: 2, Name: "b", Addr: "h:1"}}})
	s.said = map[string]report{"h:1": {err: errors.Join(errors.New("one"), errors.New("two"))}}
	text := s.fault().Error()
	if strings.Contains(text, "; : ") || !strings.Contains(text, "/dir: ") || !strings.Contains(text, "h:1: one; two") {
		t.Error(text)
	}
}
