package fleet

import (
	"strings"
	"time"
)

// view is all that a client knows of its nodes.
type view struct {
	names        []string // of the nodes, as the URL has them
	observations []observation
	known        []known
	list         *List         // that the client works with; nil at first
	since        time.Time     // from when a majority was seen to have it
	ttl          time.Duration // max_ttl= of the URL; zero if it has none
	now          time.Time
}

// quorum is always of all nodes of the list.
func (v view) quorum() int { return len(v.observations)/2 + 1 }

// step is what is to be done about a node.
type step struct {
	do  action
	err error // why it takes no part; nil if it does

	until time.Time // when an abstention ends

	// What the node is to become, for claim and adopt.
	id    string
	list  *List
	cert  record
	raise need // its counters first, to those of the others
}

type action uint8

const (
	rest  action = iota // nothing until it is seen again
	claim               // get an identity
	adopt               // become one of the list, or be certified
)

type need uint8

const (
	notNeeded need = iota
	ifPossible
	needed // by a majority, where one takes part
)

func (s step) fit() bool { return s.do == rest && s.err == nil }

// defaultTTL is the longest TTL of a list that is made without max_ttl=.
const defaultTTL = time.Minute

// plan says which list the nodes are of, and what is to be done about each. It asks nobody and waits
// for nothing. What it says may be wrong a moment later: every change of a node is a comparison with what
// was seen, and fails if that is no more.
func plan(v view) (l *List, steps []step) {
	steps = make([]step, len(v.observations))
	ok := v.findTwins(steps)
	l, fresh, err := v.choose(ok)
	if fresh {
		v.setUp(steps)
		return nil, steps
	}
	for i, s := range v.observations {
		switch {
		case steps[i].err != nil: // a twin
		case s.err != nil:
			steps[i].err = s.err
		case !s.seen:
			steps[i].err = passing("it has not answered yet")
		case err != nil:
			steps[i].err = err
		default:
			steps[i] = v.step(i, l, ok)
		}
	}
	return l, steps
}

// findTwins refuses nodes that are the same server, or of the same identity, and returns which of the
// others answer.
func (v view) findTwins(steps []step) (ok []bool) {
	ok = make([]bool, len(v.observations))
	for i, s := range v.observations {
		ok[i] = s.answers()
	}
	for i, s := range v.observations {
		for j, other := range v.observations[:i] {
			switch {
			case s.run != "" && s.run == other.run:
				steps[i].err = invalid("%s and %s are the same server: each node has one of its own", v.names[j], v.names[i])
			case s.id != "" && s.id == other.id:
				steps[i].err = lasting("%s and %s have the same identity: one has a copy of the other's data. Empty it, and replace the node", v.names[j], v.names[i])
			default:
				continue
			}
			steps[j].err = steps[i].err
			ok[i], ok[j] = false, false
		}
	}
	return ok
}

// setUp makes a list of nodes that have none: each gets an identity, once, so that clients that do this
// at the same time make the same list.
func (v view) setUp(steps []step) {
	named := true
	for i, s := range v.observations {
		steps[i].err = passing("the list is being made")
		if s.id == "" {
			steps[i].do = claim
			named = false
		}
	}
	if !named {
		return
	}
	ttl := v.ttl
	if ttl == 0 {
		ttl = defaultTTL
	}
	nodes := make([]Listed, len(v.observations))
	for i, s := range v.observations {
		nodes[i] = Listed{Identity: s.id, Address: v.names[i]}
	}
	l := newList(nodes, v.weak(), ttl)
	for i, s := range v.observations {
		steps[i].do, steps[i].id, steps[i].list, steps[i].cert = adopt, s.id, l, uncertified(l, s.id)
	}
}

// weak says what keeps nodes from keeping their data through a crash; "" if nothing does.
func (v view) weak() string {
	var reasons, text []string
	who := make(map[string][]string)
	for i, s := range v.observations {
		if s.weak == "" {
			continue
		}
		if who[s.weak] == nil {
			reasons = append(reasons, s.weak)
		}
		who[s.weak] = append(who[s.weak], v.names[i])
	}
	for _, why := range reasons {
		text = append(text, strings.Join(who[why], ", ")+": "+why)
	}
	return strings.Join(text, "; ")
}

// uncertified is the record of a node that has never answered.
func uncertified(l *List, id string) record {
	return record{list: l.ID, edition: l.edition(), identity: id, run: noRun}
}

// step is what is to be done about a node that answers, once there is a list.
func (v view) step(i int, l *List, ok []bool) step {
	s, k := v.observations[i], v.known[i]
	switch {
	case s.list != nil && s.list.ID != l.ID:
		return step{err: lasting("it belongs to another list, of %s: give it an empty server, or use another namespace=", s.list.Addresses())}
	case s.list != nil && s.list.Version > l.Version:
		return step{err: passing("it has a newer version of the list, which no majority has: a replacement is under way, or was interrupted (then run it again)")}
	case s.list != nil && s.list.Version == l.Version && l.Version > 1 && s.list.text != l.text:
		// Others may work with that one. Only a higher version takes a node out of it, and the client that makes one has
		// looked at both. Of a first version either will do: see joins.
		return step{err: passing("it has another version %d of the list, of %s: were two replacements run at the same time? Run one again", l.Version, s.list.Addresses())}
	case s.id != "" && !l.has(s.id) && s.list != nil && s.list.text != l.text:
		return step{err: lasting("it is no part of the list any more, which is of %s now: change the URL", l.Addresses())}
	case s.id != "" && !l.has(s.id):
		return step{err: lasting("its identity is not in the list, which is of %s: replace the node that it stands for (redlock replace)", l.Addresses())}
	case !s.intact() && !s.at.IsZero() && s.at.Before(v.since):
		return step{err: passing("it was looked at before the list was made")} // by others, perhaps just now
	case !s.intact():
		return v.incomplete(i, l, ok)
	case l.Level == Fenced && s.weak != "":
		return step{err: lasting("the list is fenced, and of this node %s", s.weak)}
	case l.Level == Fenced && s.cert.count < k.count:
		return step{err: lasting("it has old data, from before it was seen last: empty it, and replace it (redlock replace)")}
	case s.certified() && s.list.text == l.text:
		return step{}
	case l.Level == Advisory && s.cert.run != s.run && s.cert.run != noRun:
		return v.abstain(i, l, s.id, "it was restarted, and may have forgotten")
	}
	// It has all its data: it was never away, or it keeps them through a crash, or there were none yet. Its
	// counters are raised nevertheless, as far as others are there to tell: somebody may have put an
	// old file in place of its own, or its disk have lost what was synced.
	st := step{do: adopt, err: passing("it is being certified"), id: s.id, list: l, cert: s.cert.next(l, s.id, s.run)}
	if s.cert.run != s.run && s.cert.run != noRun {
		st.raise = ifPossible
	}
	return st
}

// incomplete is what is to be done about a node that lacks its identity, its list or its record.
func (v view) incomplete(i int, l *List, ok []bool) step {
	s, k := v.observations[i], v.known[i]
	id := s.id
	switch {
	case l.Version == 1 && s.list == nil && s.cert == (record{}) && id != "" && k.count == 0:
		// The client that made the list stopped before this node had it, so that it has never answered.
		return step{do: adopt, err: passing("the list is being made"), id: id, list: l, cert: uncertified(l, id)}
	case l.Level == Fenced && id != "" && s.list == nil:
		return step{err: lasting("it is in the list and has never been certified: was a replacement interrupted? Run it again (redlock replace)")}
	case l.Level == Fenced:
		return step{err: lasting("it has lost its data, or is another server than before: replace it (redlock replace)")}
	case id == "":
		if id = v.identityOf(i, l, ok); id == "" {
			return step{err: lasting("it is empty, and the list, of %s, has no node at this address: change the URL, or replace a node (redlock replace)", l.Addresses())}
		}
	}
	return v.abstain(i, l, id, "it has lost its data")
}

// abstain lets a node that may have forgotten leases vote again when the longest of them has ended.
//
// Leases in which its votes counted were granted or renewed before it forgot, so before this client saw it
// as it is: none lives longer than the longest TTL from then. Its counters become those of a majority
// after that wait, and not before: a lock whose second round was under way when the node forgot has been
// granted or given up by then. The list must have been seen at a majority for as long, since a node that
// replaces another has never voted, and leases of the list before may count on the one that it replaces.
func (v view) abstain(i int, l *List, id, why string) step {
	from := v.known[i].since
	if v.since.After(from) {
		from = v.since
	}
	if until := from.Add(forgotten(l)); v.now.Before(until) {
		return step{err: &abstaining{why, until}, until: until}
	}
	s := v.observations[i]
	cert := record{count: max(s.cert.count, v.known[i].count)}.next(l, id, s.run)
	return step{do: adopt, err: passing("it is being certified"), id: id, list: l, cert: cert, raise: needed}
}

// forgotten is how long it takes until no lease lives that a node has forgotten: the longest TTL, and
// what the clocks of two machines may differ by in that time.
func forgotten(l *List) time.Duration { return l.Longest() + l.Longest()/100 + 10*time.Millisecond }

// identityOf is which of the list's nodes one without an identity was: the one that this client knew there, or
// the one that the list has at this address. Not simply the one that is left: that would let an empty server, to
// which a wrong URL leads, vote in place of a node that others use. It is "" if no node was there, or the
// one that was is elsewhere now.
func (v view) identityOf(i int, l *List, ok []bool) string {
	was := ""
	for _, n := range l.Nodes {
		if n.Address == v.names[i] {
			was = n.Identity
		}
	}
	if known := v.known[i].id; l.has(known) {
		was = known
	}
	for j, s := range v.observations {
		if ok[j] && s.id == was {
			return ""
		}
	}
	return was
}
