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

// report is what came of asking one member.
type report struct {
	err  error  // nil if it takes us
	says string // what keeps it from serving, in its own words
}

// nobody is why no leader is found: what came of asking each. Its text is the same as long as that is.
// It does not unwrap: what one member says is not what the cluster says.
type nobody struct {
	addrs   []string
	reports map[string]report // of those who have been asked; without one who has not answered
}

var errWaiting = errors.New("it has not answered yet")

func (n *nobody) Error() string {
	var said []string
	taken, refused := false, false
	for _, addr := range n.addrs {
		r, ok := n.reports[addr]
		why := r.err
		switch {
		case !ok:
			why = errWaiting
		case r.err == nil && r.says != "":
			taken = true
			said = append(said, fmt.Sprintf("%s says: %s", addr, r.says))
			continue
		case r.err == nil:
			taken = true
			said = append(said, addr+" knows of no leader")
			continue
		}
		refused = refused || refusing(why)
		said = append(said, fmt.Sprintf("%s: %v", addr, why))
	}
	text := "no member is reached"
	switch {
	case refused && !taken:
		text = "no member takes us"
	case taken:
		text = "no member leads: less than a majority of them reach each other, or an election is under way"
	}
	if len(said) == 0 {
		return text
	}
	// What is several errors has a line for each.
	return strings.ReplaceAll(text+" ("+strings.Join(said, "; ")+")", "\n", "; ")
}

// absent reports whether each address was asked, and certainly has nobody.
func (n *nobody) absent() bool {
	for _, addr := range n.addrs {
		if r, ok := n.reports[addr]; !ok || !network.Absent(r.err) {
			return false
		}
	}
	return len(n.addrs) > 0
}

// parted is that the connection to a member has ended, and no other has been found yet. It does not
// unwrap either.
type parted struct {
	name, addr string
	why        error
}

func (p *parted) Error() string {
	return fmt.Sprintf("the connection to %s at %s has ended: %v", p.name, p.addr, p.why)
}

// parting says in plain words why a connection that was in use has ended.
func parting(err error) error {
	if network.HungUp(err) {
		return errHungUp
	}
	return network.Plain(err, errSilent.Error())
}

// stranger says who else answers, by the first bytes of it, or returns nil.
func stranger(head []byte) error {
	text := string(head)
	switch {
	case strings.HasPrefix(text, "HTTP/"):
		return errors.New("an HTTP server answers there, and no member of fencelock: correct the address or the port")
	case strings.HasPrefix(text, "-") || strings.HasPrefix(text, "+"):
		return errors.New("it answers as Redis does, and is no member of fencelock: correct the address or the port")
	case len(head) > 1 && (head[0] == 0x15 || head[0] == 0x16) && head[1] == 3:
		return errors.New("it speaks TLS, and we do not: give ca=, cert= and key= of the cluster's authority")
	case len(head) > 0:
		return fmt.Errorf("it answers %q, and is no member of fencelock: correct the address or the port", text[:min(len(text), maxQuoted)])
	}
	return nil
}

// maxQuoted is how much is told of what a stranger says.
const maxQuoted = 16

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
func (c *Config) explained(err error) error {
	if why := c.Trouble(); why != nil {
		return fmt.Errorf("%w; the member in this process: %w", err, why)
	}
	return err
}

func newID() (id command.SessionID) {
	_, _ = rand.Read(id[:]) // never fails
	return id
}
