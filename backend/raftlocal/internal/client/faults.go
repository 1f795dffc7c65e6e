package client

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/network"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

var (
	errClosed = fmt.Errorf("%w: raft: the backend is closed", driver.ErrUnavailable)

	// errUnknown is for a command that was under way when its session ended.
	errUnknown = fmt.Errorf("%w: raft: the session with the cluster has ended, and nobody can tell any more whether the command was carried out", driver.ErrUnavailable)

	errSilent  = errors.New("the member does not answer")
	errUnheard = errors.New("no member has answered yet")
	errHungUp  = errors.New("the member has closed it, or its process has ended")
	errMoved   = errors.New("the member does not lead any more")
)

// refusal is what a member has said instead of Welcome.
type refusal struct{ text string }

func (r *refusal) Error() string { return "it refuses: " + r.text }

// refusing reports whether a member does not take us, or we do not take it, and asking again
// does not help.
func refusing(err error) bool {
	var said *refusal
	var mismatch *network.Mismatch
	return errors.As(err, &said) && !strings.Contains(said.text, wire.Full) || errors.As(err, &mismatch)
}

// overdue is for a call that has waited for too long; fault is why there is no connection, or
// what is wrong with the member that we are connected to, or nil.
func overdue(never bool, limit time.Duration, fault error) error {
	text := "the command was sent, and has no answer"
	if never {
		text = "the command could not be sent"
	}
	if fault == nil {
		return fmt.Errorf("%w: raft: %s within %v", driver.ErrUnavailable, text, limit)
	}
	return fmt.Errorf("%w: raft: %s within %v: %w", driver.ErrUnavailable, text, limit, fault)
}

// unreachable is for one who cannot wait longer until the leader is found.
func unreachable(ended, fault error) error {
	if fault == nil {
		fault = errUnheard
	}
	return fmt.Errorf("%w: raft: %w (%w)", driver.ErrUnavailable, fault, ended)
}

// explained adds to an error what is wrong with the member of our own process.
func (c *Client) explained(err error) error {
	if why := c.cfg.Trouble(); why != nil {
		return fmt.Errorf("%w; the member in this process: %w", err, why)
	}
	return err
}

func newID() (id command.SessionID) {
	_, _ = rand.Read(id[:]) // never fails
	return id
}
