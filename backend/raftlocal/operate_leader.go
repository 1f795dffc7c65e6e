package raftlocal

import (
	"errors"
	"net/http"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
)

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
