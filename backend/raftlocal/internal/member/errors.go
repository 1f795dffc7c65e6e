package member

import "errors"

var (
	// ErrRemoved ends a member that is no longer one of the cluster. Its directory is of no
	// more use.
	ErrRemoved = errors.New("member: removed from the cluster: to come back it must be started with join=true and an empty directory, and be added: Admin.AddMember, or POST /members?add=NAME=HOST:PORT")
	// ErrClosed is what a member says after Close.
	ErrClosed = errors.New("member: closed")
	// ErrNotLeader refuses what only the leader can do.
	ErrNotLeader = errors.New("member: not the leader, or not yet: ask the leader")
	// ErrChanging refuses a change of the members while there is another.
	ErrChanging = errors.New("member: a change of the members is under way: wait until it is done, or abandon it")
)
