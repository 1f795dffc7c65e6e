package raftlocal

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/server"
)

// clusterHeader must be in each request that changes something, with the cluster's name. So the
// wrong cluster is not changed by mistake, and a page in an operator's browser cannot change
// any: browsers ask before they send such a header to another site.
const clusterHeader = "Fencelock-Cluster"

// operate answers operators: what they can do by hand, and what Admin does.
func operate(s *server.Server, scheme string) http.Handler {
	o := &operator{s, scheme}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", o.index)
	mux.HandleFunc("GET /status", o.status)
	mux.HandleFunc("GET /healthz", o.healthz)
	mux.HandleFunc("GET /metrics", o.metrics)
	mux.HandleFunc("GET /backup", o.backup)
	mux.HandleFunc("POST /members", o.members)
	mux.HandleFunc("POST /leader", o.leader)
	return mux
}

type operator struct {
	s      *server.Server
	scheme string
}

func (o *operator) index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprintln(w, `This is a member of a cluster of fencelock's built-in Raft.

GET  /status                            how it stands, as JSON
GET  /healthz                           200 if it is in a cluster that has a leader; 503 and why, if not
GET  /metrics                           for Prometheus
GET  /backup                            all locks, sessions and tokens, for raftlocal.Restore
POST /members?add=NAME=HOST:PORT        adds a member that was started with join=true
POST /members?remove=NAME               removes one; with add= as well, replaces it
POST /leader?to=NAME                    hands leadership over; to the one that is furthest without to=

Each POST needs the header `+clusterHeader+`: NAME-OF-THE-CLUSTER. Follow redirects: they lead to the leader (curl -L).`)
}

func (o *operator) status(w http.ResponseWriter, r *http.Request) {
	var s member.Status
	err := o.s.Do(r.Context(), func(m *member.Member) error { s = m.Status(); return nil })
	var notBootstrapped *server.NotBootstrappedError
	if errors.As(err, &notBootstrapped) {
		own := o.s.Self()
		s = member.Status{ID: own.ID, Name: own.Name, Cluster: o.s.Cluster(), Change: err.Error()}
		s.Members = append(s.Members, member.MemberStatus{Member: own, Alive: true})
		for _, p := range o.s.Peers() {
			s.Members = append(s.Members, member.MemberStatus{Member: p.Member, Alive: p.Connected})
		}
		err = nil
	}
	if err != nil {
		o.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(statusOf(s, o.s.Peers())) // who does not read it is gone
}

func (o *operator) backup(w http.ResponseWriter, r *http.Request) {
	var b []byte
	err := o.s.Do(r.Context(), func(m *member.Member) error {
		if !m.Serving() {
			return member.ErrNotLeader
		}
		b = appendBackup(nil, m.Status(), m.Backup())
		return nil
	})
	if err != nil {
		o.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", fmt.Sprint(len(b)))
	_, _ = w.Write(b)
}

// admit reports whether a request may change something here.
func (o *operator) admit(w http.ResponseWriter, r *http.Request) bool {
	err := o.s.Do(r.Context(), func(*member.Member) error { return nil })
	if err == nil && r.Header.Get(clusterHeader) != o.s.Cluster() {
		err = errors.New("the header " + clusterHeader + " must have the name of the cluster, which GET /status tells")
	}
	if err != nil {
		o.fail(w, r, err)
	}
	return err == nil
}

// admitMembers is for what is done to members, of which a directory has none.
func (o *operator) admitMembers(w http.ResponseWriter, r *http.Request) bool {
	if !o.s.Alone() {
		return o.admit(w, r)
	}
	o.fail(w, r, errNoMembers)
	return false
}

var errNoMembers = errors.New("this is a directory that processes share, and no member of a cluster: there are no members to add, remove or lead: processes take part by opening it, and one of them serves")

// trouble is what is answered where something was not done. Only a leader can do most: then
// Leader is where to go.
type trouble struct {
	Error  string `json:"error"`
	Leader *Peer  `json:"leader,omitempty"`
	// NotBegun says that nothing was done since another is to be asked, or an election is under way.
	NotBegun bool `json:"not_begun,omitempty"`
}

func (o *operator) fail(w http.ResponseWriter, r *http.Request, err error) {
	t, code := trouble{Error: err.Error()}, http.StatusConflict
	var notBootstrapped *server.NotBootstrappedError
	switch {
	case errors.As(err, &notBootstrapped):
		t.NotBegun = true
		code = http.StatusServiceUnavailable
	case errors.Is(err, member.ErrNotLeader):
		t.NotBegun = true
		code = http.StatusServiceUnavailable
		if l := o.s.Leader(); l.Addr != "" && l.ID != o.s.ID() {
			t.Leader = &Peer{l.Name, l.Addr}
			code = http.StatusMisdirectedRequest
			if !strings.HasPrefix(l.Addr, "unix:") {
				code = http.StatusTemporaryRedirect
				w.Header().Set("Location", o.scheme+"://"+l.Addr+r.URL.RequestURI())
			}
		}
	case errors.Is(err, server.ErrStopped), r.Context().Err() != nil:
		code = http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(t) // who does not read it is gone
}

func (o *operator) done(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintln(w, "{}")
}

// healthz says whether locks are to be had by way of this member. It does not wait for the disk.
func (o *operator) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if why := o.s.Health(); why != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = fmt.Fprintln(w, why) // who does not read it is gone
		return
	}
	_, _ = fmt.Fprintf(w, "ok: %s leads\n", o.s.Leader().Name)
}

// leader hands leadership over, and answers when another member leads.
func (o *operator) leader(w http.ResponseWriter, r *http.Request) {
	if !o.admitMembers(w, r) {
		return
	}
	var was uint64
	err := o.s.Do(r.Context(), func(m *member.Member) error {
		if !m.Serving() {
			return member.ErrNotLeader
		}
		s := m.Status()
		was = s.Leader.ID
		var to uint64
		if name := r.URL.Query().Get("to"); name != "" {
			var err error
			if to, err = idOf(s, name); err != nil {
				return err
			}
			if to == s.ID {
				was = 0
			}
		}
		return m.Transfer(to)
	})
	if err == nil && was != 0 {
		err = o.s.When(r.Context(), func(m *member.Member) (bool, error) {
			if m.Serving() && !m.Transferring() {
				return false, errors.New("the other member did not take over in time: it may be slow, or cut off; try again")
			}
			leader := m.Leader().ID
			return leader != 0 && leader != was, nil
		})
	}
	if err != nil {
		o.fail(w, r, err)
		return
	}
	o.done(w)
}
