package fakemember

import (
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

// Member serves clients. Its fields may be set before the first has come.
type Member struct {
	Welcome wire.Welcome
	// Lose tells of each command that is carried out whether its answer is lost, with the
	// connection.
	Lose func(command.Command) bool
	// Seen is told of each command that comes in.
	Seen func(command.Command)

	mu       sync.Mutex
	state    *state
	timer    *time.Timer
	conns    map[*conn]struct{}
	attached map[uint64]*conn
	mood     Mood
	refusal  string
	closed   bool
	running  sync.WaitGroup
}

// Mood is whether a member answers.
type Mood uint8

// The moods.
const (
	Well      Mood = iota
	Mute           // it answers pings, and nothing else
	Silent         // it answers nothing, not even a Hello
	Forgetful      // it pushes nothing
)

// Watch is for setting Seen when somebody has come already.
func (m *Member) Watch(seen func(command.Command)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Seen = seen
}

// Be puts it into a mood.
func (m *Member) Be(mood Mood) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mood = mood
}

type conn struct {
	*end
	dead bool
}

// New returns a member that leads itself.
func New() *Member {
	self := wire.Member{ID: 1, Name: "a", Addr: "a"}
	return &Member{
		Welcome: wire.Welcome{Cluster: "test", Member: 1, Name: "a", Leader: self, Members: []wire.Member{self}},
		state:   newState(statemachine.Member(self)), conns: map[*conn]struct{}{}, attached: map[uint64]*conn{},
	}
}

// Close ends all connections, and refuses others.
func (m *Member) Close() {
	m.mu.Lock()
	m.closed = true
	m.stopTimer()
	m.dropAll()
	m.mu.Unlock()
	m.running.Wait()
}

// Drop ends all connections.
func (m *Member) Drop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dropAll()
}

// Refuse makes it refuse all that connect, with a sentence.
func (m *Member) Refuse(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refusal = text
}

// Resign sends all clients to another.
func (m *Member) Resign(to wire.Member) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Welcome.Leader = to
	for c := range m.conns {
		c.tell(wire.AppendMoved(nil, to))
	}
	m.dropAll()
}

// Follow makes m go on with what another has.
func (m *Member) Follow(other *Member) { m.state = other.state }

// EndSessions ends all sessions, and leaves the claims.
func (m *Member) EndSessions() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state.endSessions()
}

// Push sends a push, such as nobody waits for.
func (m *Member) Push(p command.Push) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.deliver(nil, []command.Push{p})
}

func (m *Member) dropAll() {
	for c := range m.conns {
		c.dead = true
		_ = c.Close()
	}
	clear(m.conns)
	clear(m.attached)
}
