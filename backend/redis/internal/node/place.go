package node

import (
	"context"
	"time"
)

// Place says where the server of a node is, if that changes: to what Sentinels call the master, or which server of
// a Cluster. Its methods are safe for concurrent use.
type Place interface {
	// Where returns the address of the server. A new connection goes there. It may ask, and wait until somebody
	// knows, as long as ctx lasts.
	Where(ctx context.Context) (addr string, err error)

	// Vouch returns nil if those who decide have said, since Vouch was called, that the server is at addr. Otherwise
	// the error says that it is elsewhere, or that they could not be asked.
	Vouch(ctx context.Context, addr string) error

	// Silence is how long the server may be silent before another may have taken its place. What it answers
	// after that counts only with Vouch: it may have been asleep, and answer what it would no longer say if it knew.
	Silence() time.Duration

	// Doubt notes that the server at addr cannot be reached, or has said that it is not the one. It does not block.
	Doubt(addr string)
}

// Moved notes that the server of a node with a Place is at addr now, or nowhere if addr is empty. Connections to
// elsewhere are closed, the subscription's, too. Requests under way on them have no answer.
func (n *Node) Moved(addr string) {}

// Sure reports whether what the subscription delivers now comes from the server where it is, which has not been
// silent for longer than the Place allows. Always true without a Place. Called from onMessage.
func (n *Node) Sure() bool { return true }
