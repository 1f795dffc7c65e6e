package server

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
)

// introduction is what a member says of itself after its hello.
type introduction struct {
	// Life is drawn when a member starts: so two processes with one id are told apart.
	Life uint64 `json:"life"`
	// Founding is what the member's cluster began with, hashed; 0 if it joined later.
	Founding uint64 `json:"founding,omitempty"`
	// Addr is where it is reached by those who do not have it in their books yet.
	Addr string `json:"addr,omitempty"`
	// Snapshot says that the connection is for one snapshot.
	Snapshot bool `json:"snapshot,omitempty"`
}

func newLife() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}

func appendIntroduction(dst []byte, i introduction) ([]byte, error) {
	body, err := json.Marshal(i)
	if err != nil {
		return dst, err
	}
	return wire.AppendIntroduction(dst, body)
}

func readIntroduction(r *wire.Reader) (i introduction, err error) {
	t, body, err := r.Next()
	if err != nil || t != wire.TypeIntroduction || json.Unmarshal(body, &i) != nil || i.Life == 0 {
		return i, errors.New("a member must introduce itself: run the same release of fencelock on all members")
	}
	return i, nil
}

// visitor is another member that is connected to this one.
type visitor struct {
	life  uint64
	conns map[net.Conn]struct{}
	from  string
	heard atomic.Int64 // since when nothing has come, ns since the server's start
}

// silence is how long a member may say nothing until its place can be taken by another process
// with its id: the dead do not always hang up. The living ping several times.
const silence = 3 * time.Second

// checkPeer says why a member is not listened to, and what to do.
func (s *Server) checkPeer(h wire.Hello, i introduction) error {
	switch {
	case h.Member == 0 || h.Name == "":
		return errors.New("a member must have a name")
	case h.To != s.id:
		return fmt.Errorf("this is the member %q, and not the one that you look for: correct the addresses in peers=; or, if it has lost its directory, replace it by itself: Admin.ReplaceMember, or POST /members?remove=NAME&add=NAME=HOST:PORT", s.cfg.Member.Name)
	case h.Member == s.id && i.Life == s.life:
		return fmt.Errorf("the member %q has dialled itself: correct the addresses in peers=", h.Name)
	case h.Member == s.id:
		return fmt.Errorf("this is the member %q, as you say that you are: two processes run with one id, or two members have one address: give each its own", h.Name)
	case slices.Contains(s.role.Load().removed, h.Member):
		return fmt.Errorf("the member %q was removed from the cluster, or replaced, with this directory: to come back it must be started with join=true and an empty directory, and be added: Admin.AddMember, or POST /members?add=NAME=HOST:PORT", h.Name)
	case i.Founding != 0 && s.founding != 0 && i.Founding != s.founding:
		return fmt.Errorf("the members %q and %q were started for the first time with different peers=, or restored from different backups: give all the same, and begin again with empty directories", s.cfg.Member.Name, h.Name)
	}
	return nil
}

// visit notes that a member has come in, unless another process with its id has.
func (s *Server) visit(c net.Conn, h wire.Hello, i introduction) (*visitor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrStopped
	}
	v := s.lives[h.Member]
	if v != nil && v.life != i.Life {
		if quiet := s.age() - time.Duration(v.heard.Load()); quiet < silence {
			return nil, fmt.Errorf("the member %q is connected from %s already, as another process: two run with one id: end one of them, or give it a name and a directory of its own", h.Name, v.from)
		}
		for old := range v.conns {
			_ = old.Close()
		}
		v = nil
	}
	if v == nil {
		v = &visitor{life: i.Life, conns: map[net.Conn]struct{}{}, from: c.RemoteAddr().String()}
		s.lives[h.Member] = v
	}
	v.conns[c] = struct{}{}
	v.heard.Store(int64(s.age()))
	return v, nil
}

// leave notes that a connection of a member has ended.
func (s *Server) leave(c net.Conn, id uint64, v *visitor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(v.conns, c)
	if len(v.conns) == 0 && s.lives[id] == v {
		delete(s.lives, id)
	}
}

// age is how long the server has run.
func (s *Server) age() time.Duration { return time.Since(s.loop.start) }
