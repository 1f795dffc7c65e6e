package fleet

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Replace puts new nodes into a list, for those that are not among the servers any more. It may be run
// again, also after it was interrupted at any point, and by two operators at the same time. progress is
// told what is being done.
//
// It must not make two quorums without a node in common, nor let tokens fall. Say the list has N nodes, a
// quorum is Q, and K nodes are replaced, where N-K ≥ Q: all others must answer.
//
//  1. Each of the others gets the record of the new version. From then on it answers no client that
//     works with the old one: so once Q of the old list have it, no grant of the old list completes, and each
//     that has completed has its token in the counter, and its key, on one of them at least.
//     Clients that learn of the new version work with the N-K others, each Q of which have a node in
//     common with each Q of the old list.
//  2. The longest TTL passes. Then no lease lives that was confirmed by the old list: those that
//     live were confirmed by Q of the N-K others.
//  3. Each new node gets its counters, the highest of all the others, and then its record, in one
//     script: it votes from here on. Q nodes of which K are new have Q-K of the others, and those have a node in
//     common with each Q of the N-K: (Q-K)+Q > N-K, since 2Q > N. So no lease overlaps with another by
//     this, and a token that the new nodes help to make is above all that were granted before.
//
// The counters are read after 1, under the new record, and not before: a grant of the old list may
// complete until then. Without them a new node could be the only one of a quorum to have been
// in no quorum before, and the tokens of the old list be forgotten.
func Replace(ctx context.Context, c Config, progress func(text string)) error {
	r := replacement{Config: c, progress: progress, view: c.lookAll(ctx)}
	if err := r.decide(ctx); err != nil {
		return err
	}
	if len(r.fresh) == 0 && len(r.behind) == 0 {
		progress(fmt.Sprintf("nothing to do: all nodes are in the list (%v)", r.target))
		return nil
	}
	if err := r.move(ctx); err != nil || len(r.fresh) == 0 {
		return err
	}
	wait := forgotten(r.target)
	progress(fmt.Sprintf("waiting %v, the longest TTL: leases that count on a node that is gone end until then", wait.Round(time.Second)))
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(wait):
	}
	return r.admit(ctx)
}

// replacement is one run of Replace.
type replacement struct {
	Config

	progress func(text string)
	view     view
	target   *List // what all nodes are to have
	old      []int // nodes that are in the list, and stay
	behind   []int // those of them that have an older version
	fresh    []int // nodes that are to be put in, and have never answered
}

// decide finds out what is to be done, and refuses what must not be done. Nothing has been changed when
// it does, but that new nodes have got an identity, which is theirs from then on.
func (r *replacement) decide(ctx context.Context) error {
	steps := make([]step, len(r.view.observations))
	r.view.findTwins(steps)
	for i, s := range r.view.observations {
		if steps[i].err != nil {
			return steps[i].err
		}
		if s.err != nil {
			return fmt.Errorf("%s: %w (each node that the URL names must answer: leave out those that are gone, and name new ones for them)", r.Names[i], inWords(s.err))
		}
	}
	top, err := r.newest()
	if err != nil {
		return err
	}
	if len(top.Nodes) != len(r.Names) {
		return invalid("the list has %d nodes, %s, and the URL names %d: a replacement does not change how many there are", len(top.Nodes), top.Addresses(), len(r.Names))
	}
	gone := top.identities()
	var with []Listed
	for i, s := range r.view.observations {
		switch {
		case s.list != nil && top.has(s.id) && s.intact():
			gone = slices.DeleteFunc(gone, func(id string) bool { return id == s.id })
			r.old = append(r.old, i)
			continue
		case s.list != nil || s.cert != (record{}):
			return lasting("%s is no new node: it has data of a list, version %d of it, which it is no part of any more. Empty it first", r.Names[i], versionOf(s.list))
		case top.Level == Fenced && s.weak != "":
			return lasting("the list is fenced, and of %s %s", r.Names[i], s.weak)
		}
		r.fresh = append(r.fresh, i)
		if s.id == "" {
			if s.id, err = r.asker(i).claim(ctx, newIdentity()); err != nil {
				return fmt.Errorf("%s: %w", r.Names[i], inWords(err))
			}
			r.view.observations[i].id = s.id
		}
		if top.has(s.id) { // a replacement was interrupted
			gone = slices.DeleteFunc(gone, func(id string) bool { return id == s.id })
			continue
		}
		with = append(with, Listed{Identity: s.id, Address: r.Names[i]})
	}
	r.target = top
	switch {
	case len(gone) > 0:
		r.target = top.replaced(gone, with)
		added := make([]string, len(with))
		for i, n := range with {
			added[i] = n.Address
		}
		r.progress(fmt.Sprintf("version %d of the list: %s instead of %s", r.target.Version, strings.Join(added, ", "), strings.Join(top.addressesOf(gone), ", ")))
	case r.contested(top):
		r.target = top.replaced(nil, nil)
		r.progress(fmt.Sprintf("version %d of the list, since there are two different ones of version %d", r.target.Version, top.Version))
	}
	for _, i := range r.old {
		if r.view.observations[i].list.text != r.target.text {
			r.behind = append(r.behind, i)
		}
	}
	return r.check()
}

// newest is the newest version of the list that a node has. A version that only some have, since another
// replacement was interrupted or is under way, is one that may have come into use: so a new one follows
// it, and is finished if it is what the URL asks for. Versions of a node only rise.
func (r *replacement) newest() (top *List, err error) {
	holders := make(map[string]int)
	for _, s := range r.view.observations {
		if s.list != nil {
			holders[s.list.text]++
		}
	}
	for i, s := range r.view.observations {
		switch l := s.list; {
		case l == nil:
		case top == nil:
			top = l
		case l.ID != top.ID:
			return nil, lasting("%s belongs to another list, of %s", r.Names[i], l.Addresses())
		case l.Version > top.Version, l.Version == top.Version && holders[l.text] > holders[top.text],
			l.Version == top.Version && holders[l.text] == holders[top.text] && l.text < top.text:
			top = l
		}
	}
	if top == nil {
		return nil, lasting("no node that the URL names is in a list: there is nothing to replace")
	}
	return top, nil
}

// contested reports whether a node has another list of the same version, which two operators have made. Each may
// have come into use, so that no node may go from one to the other.
func (r *replacement) contested(top *List) bool {
	return slices.ContainsFunc(r.view.observations, func(s observation) bool {
		return s.list != nil && s.list.Version == top.Version && s.list.text != top.text
	})
}

// check refuses to begin unless the nodes that stay are a quorum of each version that may be in use: all
// that any of them has. One that none of them has is not in use, since a quorum of the version before
// would have it.
func (r *replacement) check() error {
	for _, i := range r.old {
		l := r.view.observations[i].list
		n := 0
		for _, j := range r.old {
			if l.has(r.view.observations[j].id) {
				n++
			}
		}
		if n < l.quorum() {
			return lasting("%d of the %d nodes of the list (%s) are named, and a majority has to be: others than these must be kept, or brought back", n, len(l.Nodes), l.Addresses())
		}
	}
	return nil
}

// move gives the nodes that stay the record of the new version: step 1. The process that it certifies
// remains the same, so that one that was restarted and may have forgotten still has to be waited for.
func (r *replacement) move(ctx context.Context) error {
	for _, i := range r.behind {
		s := r.view.observations[i]
		cert := record{list: r.target.ID, edition: r.target.edition(), identity: s.id, count: s.cert.count, run: s.cert.run}
		if err := r.adopt(ctx, i, cert, counters{}); err != nil {
			return err
		}
		r.progress(fmt.Sprintf("%s has version %d of the list", r.Names[i], r.target.Version))
	}
	return nil
}

// admit lets the new nodes vote: step 3.
func (r *replacement) admit(ctx context.Context) error {
	var highest counters
	for _, i := range r.old {
		// A client may have certified the node again meanwhile: any record of this version will do.
		s := r.asker(i).look(ctx)
		if s.err == nil && (!s.intact() || s.list.text != r.target.text) {
			s.err = passing("it has changed meanwhile: run the command again")
		}
		var one counters
		if s.err == nil {
			one, s.err = r.asker(i).read(ctx, s.cert)
		}
		if s.err != nil {
			return fmt.Errorf("reading the counters of %s: %w", r.Names[i], inWords(s.err))
		}
		highest.raise(one)
	}
	for _, i := range r.fresh {
		s := r.view.observations[i]
		if err := r.adopt(ctx, i, uncertified(r.target, s.id).next(r.target, s.id, s.run), highest); err != nil {
			return err
		}
		r.progress(fmt.Sprintf("%s is in the list, and votes", r.Names[i]))
	}
	return nil
}

// adopt changes a node, unless it has become what it is to be already, by another run of the command or by
// a client.
func (r *replacement) adopt(ctx context.Context, i int, cert record, raise counters) error {
	a := r.asker(i)
	s := r.view.observations[i]
	ok, err := a.adopt(ctx, s, step{id: s.id, list: r.target, cert: cert}, raise)
	if err == nil && !ok {
		if s = a.look(ctx); s.err != nil {
			err = s.err
		} else if !s.intact() || s.list.text != r.target.text {
			err = passing("it has changed meanwhile: run the command again")
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", r.Names[i], inWords(err))
	}
	return nil
}

func versionOf(l *List) int {
	if l == nil {
		return 0
	}
	return l.Version
}
