package raftlocal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/bootstrap"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

// members carries a change of the members out. It answers when the change is done.
func (o *operator) members(w http.ResponseWriter, r *http.Request) {
	if !o.admitMembers(w, r) {
		return
	}
	q := r.URL.Query()
	begun := false
	added, err := o.added(r.Context(), q)
	if err != nil {
		o.fail(w, r, err)
		return
	}
	err = o.s.Do(r.Context(), func(m *member.Member) error {
		c, err := changeOf(m.Status(), added, q.Get("remove"))
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
var errHandsOver error = handsOver{}

type handsOver struct{}

func (handsOver) Error() string {
	return "this member led, and is to be removed: another takes over: ask again"
}

// Is makes the caller ask again.
func (handsOver) Is(target error) bool { return target == member.ErrNotLeader }

// joinsWithin is how long a member is waited for that is to be added.
const joinsWithin = 10 * time.Second

// added asks the member that is to be added, of add=name=addr, for its id: it has drawn that, and
// nobody else can know it. The result is nil if there is none.
func (o *operator) added(ctx context.Context, q url.Values) (*statemachine.Member, error) {
	text := q.Get("add")
	if text == "" {
		return nil, nil
	}
	name, addr, _ := strings.Cut(text, "=")
	if err := checkPeers([]Peer{{name, addr}}); err != nil {
		return nil, err
	}
	if err := o.s.Do(ctx, func(m *member.Member) error {
		if !m.Serving() {
			return member.ErrNotLeader // who adds it must reach it
		}
		return nil
	}); err != nil {
		return nil, err
	}
	if own := o.s.Self(); own.Addr == addr {
		return &own, nil // which cannot be asked by itself, and is refused
	}
	ctx, cancel := context.WithTimeout(ctx, joinsWithin)
	defer cancel()
	id, err := joining(ctx, o.s.Ask, name, addr)
	if err != nil {
		return nil, err
	}
	return &statemachine.Member{ID: id, Name: name, Addr: addr}, nil
}

// joining asks the member at an address until it waits to be added, and returns its id. When ctx ends, the error says
// what came of asking before: that our time ended while we asked says less. Of a connection that ends at the deadline of ctx
// the error may be there before ctx knows: its timer may be late, so the clock decides.
func joining(ctx context.Context, ask func(context.Context, string) (bootstrap.Standing, error), name, addr string) (id uint64, err error) {
	for why := error(nil); ; {
		s, err := ask(ctx, addr)
		switch {
		case err != nil:
		case s.Name != name:
			return 0, fmt.Errorf("at %s is the member %q, and not %q: correct the name or the address", addr, s.Name, name)
		case s.Joins || s.Bootstrapped: // a learner that an earlier try left behind has a log
			return s.ID, nil
		default:
			err = errors.New("it waits to found a cluster")
		}
		end, limited := ctx.Deadline()
		if why == nil || ctx.Err() == nil && (!limited || time.Now().Before(end)) {
			why = err
		}
		select {
		case <-time.After(askingAgain):
		case <-ctx.Done():
			return 0, fmt.Errorf("the member %q at %s cannot be added: %w: start it with join=true and an empty directory, and try again", name, addr, why)
		}
	}
}

// changeOf makes a change of who is to be added, if anybody is, and the name of who is to be
// removed, if any. One that is replaced by itself has its name twice, once for each directory.
func changeOf(s member.Status, added *statemachine.Member, removed string) (c member.Change, err error) {
	if added != nil {
		c.Add = []statemachine.Member{*added}
	}
	if removed == "" {
		return c, nil
	}
	for _, p := range s.Members {
		if p.Name == removed && (added == nil || p.ID != added.ID) {
			c.Remove = append(c.Remove, p.ID)
		}
	}
	if len(c.Remove) == 0 {
		_, err = idOf(s, removed)
		if err == nil {
			err = fmt.Errorf("the member %q is in the cluster with the directory that it has: nothing to replace", removed)
		}
	}
	return c, err
}

// idOf finds a member by name: the one that votes, if there is another that is to replace it.
func idOf(s member.Status, name string) (id uint64, err error) {
	var names []string
	for _, p := range s.Members {
		if p.Name == name && (id == 0 || p.Voter) {
			id = p.ID
		}
		names = append(names, p.Name)
	}
	if id != 0 {
		return id, nil
	}
	return 0, fmt.Errorf("there is no member %q: there are %s", name, strings.Join(names, ", "))
}
