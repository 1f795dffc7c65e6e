package server

import (
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/network"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

const (
	// tick is the unit of the member's time.
	tick = 50 * time.Millisecond
	// helloTimeout bounds the time in which somebody must have said who they are.
	helloTimeout = 5 * time.Second
	// writeTimeout bounds one write to somebody who does not read.
	writeTimeout = 10 * time.Second
	// farewell bounds the time in which the last words are written when a member stops.
	farewell = time.Second
	// transferTimeout bounds the time in which leadership is transferred when a member stops.
	transferTimeout = 2 * time.Second

	// maxInbox is how many bytes each lane of the inbox takes before readers wait.
	maxInbox = 16 << 20
	// maxUnread is how much is kept for a client that does not read.
	maxUnread = 16 << 20
	// maxQueued is how many messages wait for a peer.
	maxQueued = 1024
)

// Config is what a server is started with.
type Config struct {
	// Member says what to run. Outside and Logger are the server's, and so are ID, Members, State
	// and TokenBase of a member of several: its directory tells them, or the initial members agree on them.
	Member member.Config
	// Listener is where all others come in; nil for a member that only its own process reaches.
	// It is closed by the server.
	Listener net.Listener
	// Network is how other members are dialled; nil for who is alone. If Secure is not nil, it dials with TLS.
	Network network.Network
	// Secure is TLS for those who come in; nil for none.
	Secure *network.Secure
	// Addr is where the others reach this member.
	Addr string
	// Peers are the members that a new cluster begins with, this one too, or those whom one asks
	// that is to join. They have no ids: these are drawn, see member.Draw. It says nothing once the
	// directory is in use.
	Peers []statemachine.Member
	// Operate answers operators; nil for nobody.
	Operate http.Handler
	Logger  *slog.Logger
}

// Logger is the logger to use where one may have been named: the process's own (slog.Default) if
// none was.
func Logger(named *slog.Logger) *slog.Logger {
	if named != nil {
		return named
	}
	return slog.Default().With("backend", "raft")
}
