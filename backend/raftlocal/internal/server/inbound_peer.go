package server

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

// peerHandshake is what a member says of itself after its hello.
type peerHandshake struct {
	// Life is drawn when a member starts: so two processes with one id are told apart.
	Incarnation uint64 `json:"life"`
	// Founding is what the member's cluster began with, hashed; 0 if it joined later.
	BootstrapHash uint64 `json:"founding,omitempty"`
	// Addr is where it is reached by those who do not have it in their books yet.
	Addr string `json:"addr,omitempty"`
	// Snapshot says that the connection is for one snapshot.
	Snapshot bool `json:"snapshot,omitempty"`
}

func newIncarnation() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}

func appendPeerHandshake(dst []byte, i peerHandshake) ([]byte, error) {
	body, err := json.Marshal(i)
	if err != nil {
		return dst, err
	}
	return wire.AppendPeerHandshake(dst, body)
}

func readPeerHandshake(r *wire.Reader) (i peerHandshake, err error) {
	t, body, err := r.Next()
	if err != nil || t != wire.TypePeerHandshake || json.Unmarshal(body, &i) != nil || i.Incarnation == 0 {
		return i, errors.New("a member must introduce itself: run the same release of fencelock on all members")
	}
	return i, nil
}

// inboundPeer is another member that is connected to this one.
type inboundPeer struct {
	incarnation uint64
	conns       map[net.Conn]struct{}
	from        string
	heard       atomic.Int64 // since when nothing has come, ns since the server's start
}

// inbound are the members that are connected to this one.
type inbound struct {
	*self
	conns *conns
	told  *told
	inbox *inbox
	peers *peers

	mu   sync.Mutex
	peer map[uint64]*inboundPeer // by id
}

// silence is how long a member may say nothing until its place can be taken by another process
// with its id: the dead do not always hang up. The living ping several times.
const silence = 3 * time.Second

// check says why a member is not listened to, and what to do.
func (in *inbound) check(h wire.Hello, i peerHandshake) error {
	switch {
	case h.Member == 0 || h.Name == "":
		return errors.New("a member must have a name")
	case h.To != in.id:
		return fmt.Errorf("this is the member %q, and not the one that you look for: correct the addresses in peers=; or, if it has lost its directory, replace it by itself: Admin.ReplaceMember, or POST /members?remove=NAME&add=NAME=HOST:PORT", in.cfg.Member.Name)
	case h.Member == in.id && i.Incarnation == in.incarnation:
		return fmt.Errorf("the member %q has dialled itself: correct the addresses in peers=", h.Name)
	case h.Member == in.id:
		return fmt.Errorf("this is the member %q, as you say that you are: two processes run with one id, or two members have one address: give each its own", h.Name)
	case slices.Contains(in.role.Load().removed, h.Member):
		return fmt.Errorf("the member %q was removed from the cluster, or replaced, with this directory: to come back it must be started with join=true and an empty directory, and be added: Admin.AddMember, or POST /members?add=NAME=HOST:PORT", h.Name)
	case i.BootstrapHash != 0 && in.bootstrapHash != 0 && i.BootstrapHash != in.bootstrapHash:
		return fmt.Errorf("the members %q and %q were started for the first time with different peers=, or restored from different backups: give all the same, and begin again with empty directories", in.cfg.Member.Name, h.Name)
	}
	return nil
}

// admit notes that a member has come in, unless another process with its id has.
func (in *inbound) admit(c net.Conn, h wire.Hello, i peerHandshake) (*inboundPeer, error) {
	// If cutOff comes later, it closes this connection, too.
	if in.conns.over() {
		return nil, ErrStopped
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	v := in.peer[h.Member]
	if v != nil && v.incarnation != i.Incarnation {
		if quiet := in.age() - time.Duration(v.heard.Load()); quiet < silence {
			return nil, fmt.Errorf("the member %q is connected from %s already, as another process: two run with one id: end one of them, or give it a name and a directory of its own", h.Name, v.from)
		}
		for old := range v.conns {
			_ = old.Close()
		}
		v = nil
	}
	if v == nil {
		v = &inboundPeer{incarnation: i.Incarnation, conns: map[net.Conn]struct{}{}, from: c.RemoteAddr().String()}
		in.peer[h.Member] = v
	}
	v.conns[c] = struct{}{}
	v.heard.Store(int64(in.age()))
	return v, nil
}

// leave notes that a connection of a member has ended.
func (in *inbound) leave(c net.Conn, id uint64, v *inboundPeer) {
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(v.conns, c)
	if len(v.conns) == 0 && in.peer[id] == v {
		delete(in.peer, id)
	}
}

// serve takes the messages of another member until the connection ends.
func (in *inbound) serve(c net.Conn, r *wire.Reader, h wire.Hello, i peerHandshake) {
	v, err := in.admit(c, h, i)
	if err != nil {
		in.told.refuse(c, err)
		return
	}
	defer in.leave(c, h.Member, v)
	if _, err := c.Write(in.greeting()); err != nil {
		return
	}
	in.peers.introduce(statemachine.Member{ID: h.Member, Name: h.Name, Addr: i.Addr})
	var snapshot wire.Assembly
	var msgs []*raftpb.Message
	weight := 0
	for {
		_ = c.SetDeadline(time.Now().Add(writeTimeout)) // an error shows at the next call
		t, body, err := r.Next()
		if err != nil {
			return
		}
		v.heard.Store(int64(in.age()))
		switch t {
		case wire.TypeRaft:
			msgs, err = appendMessage(msgs, body, h.Member)
			weight += len(body)
		case wire.TypeSnapshot:
			var part wire.Part
			var whole []byte
			if part, err = wire.ParsePart(body); err != nil {
				return
			}
			if whole, err = snapshot.Add(part); err != nil || whole == nil {
				break
			}
			if msgs, err = appendMessage(msgs, whole, h.Member); err == nil {
				weight += len(whole)
				_, err = c.Write(wire.AppendPong(nil, part.Transfer))
			}
		case wire.TypePing:
			var n uint64
			if n, err = wire.ParsePing(body); err == nil {
				_, err = c.Write(wire.AppendPong(nil, n))
			}
		default:
			return
		}
		if err != nil {
			in.logger.Warn("a member is cut off", "member", in.cfg.Member.Name, "from", h.Name, "error", err)
			return
		}
		if len(msgs) == 0 || r.More() && weight < maxInbox {
			continue
		}
		together := msgs
		in.inbox.fromMember(weight, func(m *member.Member) {
			for _, msg := range together {
				m.Receive(msg)
			}
		})
		msgs, weight = nil, 0
	}
}

// appendMessage appends a message, if it is by who is connected.
func appendMessage(msgs []*raftpb.Message, body []byte, from uint64) ([]*raftpb.Message, error) {
	msg := new(raftpb.Message)
	if err := wire.ParseRaft(body, msg); err != nil || msg.GetFrom() != from {
		return msgs, err
	}
	return append(msgs, msg), nil
}
