package node

import (
	"context"
	"time"
)

// Place says where the server of a node is, if that changes: to what Sentinels call the master, or which server of
// a Cluster. Its methods are safe for concurrent use.
type Place interface {
	// Where returns the address of the server. A new connection goes there. It may ask, and wait until somebody
	// knows, as long as ctx lasts. Once Node.Moved has been called it returns nothing older than what that was
	// told.
	Where(ctx context.Context) (addr string, err error)

	// Vouch returns nil if those who decide have said, since Vouch was called, that the server is at addr. Otherwise
	// the error says that it is elsewhere, or that they could not be asked. It ends when ctx does.
	Vouch(ctx context.Context, addr string) error

	// Silence is how long the server may be silent before another may have taken its place. What it answers
	// after that counts only with Vouch: it may have been asleep, and answer what it would no longer say if it knew.
	// Those who decide wait for at least twice as long before they name another.
	Silence() time.Duration

	// Doubt notes that the server at addr cannot be reached, or has said that it may not be the one. It does not
	// block.
	Doubt(addr string)
}

// Moved notes that the server of a node with a Place is at addr now, or nowhere if addr is empty: then requests
// fail at once, until it is somewhere again. Connections to elsewhere are closed, the subscription's, too. Requests
// under way on them have no answer, and what was not sent yet goes to the new place.
func (n *Node) Moved(addr string) {
	if n.locator.place != nil {
		n.locator.moved(addr)
	}
}

// Sure reports whether the message that the subscription delivers now comes from the server where it is, which has
// not been silent for longer than the Place allows. Otherwise it is a hint to ask. Always true without a Place.
// To be called from onMessage only.
func (n *Node) Sure() bool {
	l := n.locator
	if l.place == nil {
		return true
	}
	n.mu.Lock()
	s := n.sub
	n.mu.Unlock()
	return s != nil && s.from != nil && l.now.Load() == s.from.at && !l.tooOld(s.from.at, time.Now())
}

// Suspect tells the Place if err is of a kind by which a server says that it may not be the one any more: for an
// error that a script has as a string in its reply. The node looks at all other errors itself.
func (n *Node) Suspect(err error) {
	l := n.locator
	if at := l.now.Load(); l.place != nil && at != nil && isDoubtful(err) {
		l.place.Doubt(at.addr)
	}
}
