package raftlocal

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/machine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
)

// members carries a change of the members out. It answers when the change is done.
func (o *operator) members(w http.ResponseWriter, r *http.Request) {
	if !o.admit(w, r) {
		return
	}
	q := r.URL.Query()
	begun := false
	err := o.s.Do(r.Context(), func(m *member.Member) error {
		c, err := changeOf(m.Status(), q)
		if err != nil {
			return err
		}
		if m.Serving() && slices.Contains(c.Remove, o.s.ID()) && m.Transfer(0) == nil {
			return errHandsOver
		}
		err = m.Change(c)
		begun = err == nil
		return err
	})
	if err == nil {
		err = o.s.When(r.Context(), func(m *member.Member) (bool, error) {
			if !m.Serving() {
				return false, errors.New("another member leads now, which does not go on with the change: ask again")
			}
			return m.Status().Change == "", nil
		})
	}
	if err != nil {
		if begun {
			_ = o.s.Do(o.s.Context(), func(m *member.Member) error { m.Abandon(); return nil }) //nolint:contextcheck // the request's may have ended
		}
		o.fail(w, r, err)
		return
	}
	o.done(w)
}

// errHandsOver is why a leader does not remove itself: it ends with that, and could not tell
// anybody that it is done.
var errHandsOver = fmt.Errorf("%w: this one is to be removed, and hands over to another: ask again", member.ErrNotLeader)

// changeOf reads add=name=addr and remove=name.
func changeOf(s member.Status, q url.Values) (c member.Change, err error) {
	if text := q.Get("add"); text != "" {
		name, addr, _ := strings.Cut(text, "=")
		peers := []Peer{{name, addr}}
		if err := checkPeers(peers); err != nil {
			return c, err
		}
		c.Add = []machine.Member{{ID: member.ID(s.Cluster, name), Name: name, Addr: addr}}
	}
	if name := q.Get("remove"); name != "" {
		id, err := idOf(s, name)
		if err != nil {
			return c, err
		}
		c.Remove = []uint64{id}
	}
	return c, nil
}

// idOf finds a member by name.
func idOf(s member.Status, name string) (uint64, error) {
	var names []string
	for _, p := range s.Members {
		if p.Name == name {
			return p.ID, nil
		}
		names = append(names, p.Name)
	}
	return 0, fmt.Errorf("there is no member %q: there are %s", name, strings.Join(names, ", "))
}
