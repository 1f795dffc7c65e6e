package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/network"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

const (
	// dialAgain and dialAgainMost are the pauses between attempts to connect.
	dialAgain     = 20 * time.Millisecond
	dialAgainMost = 500 * time.Millisecond
	// pingEvery is how often a peer is asked whether it lives, and pingTimeout how long it may
	// take to say so: what is written to a host that is gone seems to be on its way for minutes.
	pingEvery   = 500 * time.Millisecond
	pingTimeout = 3 * time.Second
	// moment is how long a member may be away before it is told.
	moment = time.Second
	// maxWrite is about how much goes out in one write.
	maxWrite = 256 << 10
)

// peer sends to one other member.
type peer struct {
	all     *peers
	to      statemachine.Member
	queue   chan *raftpb.Message
	wake    chan struct{} // dial now
	ctx     context.Context
	retire  context.CancelFunc
	state   atomic.Pointer[PeerState]
	sending atomic.Bool // a snapshot

	// Of run: since when it is not reached, and why, as it was told last.
	away      time.Time
	unreached string
}

func newPeer(all *peers, to statemachine.Member) *peer {
	p := &peer{all: all, to: to, queue: make(chan *raftpb.Message, maxQueued), wake: make(chan struct{}, 1)}
	p.ctx, p.retire = context.WithCancel(all.ctx)
	p.state.Store(&PeerState{Member: to})
	return p
}

// now lets the peer be dialled, if it waits to be.
func (p *peer) now() {
	select {
	case p.wake <- struct{}{}:
	default: // it will be
	}
}

// errRefused is what the other side has said.
var errRefused = errors.New("refuses")

// run keeps a connection until the peer is retired.
func (p *peer) run() {
	pause := dialAgain
	for p.ctx.Err() == nil {
		began := time.Now()
		err := network.Plain(p.connection(), "it has not answered in time: it is stopped or cut off")
		state := PeerState{Member: p.to, Err: err.Error(), Refused: errors.Is(err, errRefused)}
		if p.away.IsZero() {
			p.away = time.Now()
		}
		p.state.Store(&state)
		// One that is about to begin, or is started again, is there in a moment.
		if p.ctx.Err() == nil && p.unreached != state.Err && (state.Refused || time.Since(p.away) >= moment) && p.all.told.once("peer", p.to.Name, state.Err) {
			p.unreached = state.Err
			p.all.logger.Warn("a member is not reached", "member", p.all.cfg.Member.Name, "peer", p.to.Name, "addr", p.to.Addr, "error", err)
		}
		p.empty()
		p.all.inbox.ask(func(m *member.Member) { m.ReportUnreachable(p.to.ID) })
		if time.Since(began) > dialAgainMost {
			pause = dialAgain
		}
		p.wait(pause/2 + rand.N(pause))
		pause = min(2*pause, dialAgainMost)
	}
}

func (p *peer) wait(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-p.wake:
	case <-p.ctx.Done():
	}
}

// empty drops what was queued for a connection that has ended.
func (p *peer) empty() {
	for {
		select {
		case <-p.queue:
		default:
			return
		}
	}
}

// connection dials and sends until something fails.
func (p *peer) connection() error {
	conn, r, err := p.dial(false)
	if err != nil {
		return err
	}
	defer p.all.conns.drop(conn)
	p.all.conns.linger(conn)
	p.state.Store(&PeerState{Member: p.to, Connected: true})
	p.away = time.Time{}
	if p.unreached != "" {
		p.unreached = ""
		p.all.logger.Info("a member is reached again", "member", p.all.cfg.Member.Name, "peer", p.to.Name, "addr", p.to.Addr)
	}
	broken := make(chan error, 1)
	go func() { broken <- listen(conn, r) }()
	err = p.send(conn, broken)
	_ = conn.Close() // so that listen ends
	if read := <-broken; err == nil {
		err = read
	}
	return err
}

// listen reads what the other side says: that it is alive.
func listen(conn net.Conn, r *wire.Reader) error {
	for {
		_ = conn.SetReadDeadline(time.Now().Add(pingTimeout))
		t, body, err := r.Next()
		switch {
		case err != nil:
			return err
		case t == wire.TypeRefusal:
			return fmt.Errorf("it %w: %s", errRefused, wire.ParseRefusal(body))
		}
	}
}

// send writes what is queued. When the peer is retired, what is queued is the last.
func (p *peer) send(conn net.Conn, broken chan error) error {
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	var b []byte
	var asked uint64
	for last := false; !last; {
		b = b[:0]
		select {
		case msg := <-p.queue:
			b = p.append(b, msg)
		case <-ping.C:
			asked++
			b = wire.AppendPing(b, asked)
		case err := <-broken:
			broken <- err
			return nil
		case <-p.ctx.Done():
			last = true
		}
		for more := true; more && len(b) < maxWrite; {
			select {
			case msg := <-p.queue:
				b = p.append(b, msg)
			default:
				more = false
			}
		}
		_ = conn.SetWriteDeadline(time.Now().Add(pingTimeout))
		if _, err := conn.Write(b); err != nil {
			return err
		}
		if cap(b) > 4*maxWrite {
			b = nil // a large one is rare
		}
	}
	return ErrStopped
}

// append appends a message. One that cannot be encoded is dropped, as on a bad network.
func (p *peer) append(b []byte, msg *raftpb.Message) []byte {
	b, err := wire.AppendRaft(b, msg)
	if err != nil {
		p.all.logger.Error("a message is dropped", "member", p.all.cfg.Member.Name, "peer", p.to.Name, "error", err)
	}
	return b
}

// dial connects and introduces this member. The connection is held.
func (p *peer) dial(snapshot bool) (net.Conn, *wire.Reader, error) {
	ctx, cancel := context.WithTimeout(p.ctx, helloTimeout)
	defer cancel()
	conn, err := p.all.cfg.Network.Dial(ctx, p.to.Addr)
	if err != nil {
		return nil, nil, err
	}
	if !p.all.conns.hold(conn) {
		_ = conn.Close()
		return nil, nil, ErrStopped
	}
	r, err := p.hello(conn, snapshot)
	if err != nil {
		p.all.conns.drop(conn)
		return nil, nil, err
	}
	return conn, r, nil
}

func (p *peer) hello(conn net.Conn, snapshot bool) (*wire.Reader, error) {
	_ = conn.SetDeadline(time.Now().Add(helloTimeout)) // an error shows at the next call
	own := p.all.cfg.Member
	b := wire.AppendHello([]byte(wire.Preface), wire.Hello{
		Version: wire.Version, Cluster: own.Cluster, Role: wire.Peer, Member: p.all.id, Name: own.Name, To: p.to.ID,
	})
	b, err := appendPeerHandshake(b, peerHandshake{Incarnation: p.all.incarnation, BootstrapHash: p.all.bootstrapHash, Addr: p.all.cfg.Addr, Snapshot: snapshot})
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(b); err != nil {
		return nil, err
	}
	r := wire.NewReader(conn)
	t, body, err := r.Next()
	switch {
	case errors.Is(err, io.EOF):
		return nil, errors.New("it takes no members: it may be about to begin, or to end")
	case err != nil:
		return nil, err
	}
	switch t {
	case wire.TypeWelcome:
		_, err = wire.ParseWelcome(body)
	case wire.TypeRefusal:
		err = fmt.Errorf("it %w: %s", errRefused, wire.ParseRefusal(body))
	default:
		err = fmt.Errorf("%s is no member of a cluster: correct the addresses in peers=", p.to.Addr)
	}
	return r, err
}
