package server

import (
	"errors"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/machine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
)

// Found makes the files of a member in an empty directory, and runs nothing.
func Found(cfg member.Config) error {
	cfg.Outside = nobody{}
	m, err := member.Open(cfg)
	if err != nil {
		return err
	}
	_, err = founding(cfg, m)
	return errors.Join(err, m.Close())
}

// nobody is the outside of a member that does not run.
type nobody struct{}

func (nobody) Send(*raftpb.Message)                                 {}
func (nobody) Answer(member.Conn, []command.Answer, []command.Push) {}
func (nobody) Dismiss(member.Conn, machine.Member)                  {}
