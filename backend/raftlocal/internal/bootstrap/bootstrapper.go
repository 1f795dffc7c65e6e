// Package bootstrap is how the first members of a cluster agree on what it begins with, before
// any of them votes.
//
// A directory has an id that was drawn for it, and the id is what votes: a member that has lost its
// directory has another, so nobody takes its vote for that of the one before. So the members of a
// cluster cannot be computed from their names; the first of them have to tell each other their
// ids, and must not end up with two lists of which each has a majority.
//
// # The protocol
//
// A [Bootstrapper] is one directory that is to begin. It does no I/O and knows no time: its runner
// exchanges a [Standing] with each other initial member, again and again, and calls Hear with what comes,
// asked for or not.
//
//  1. When it has heard the id of every other initial member, it binds itself to the [Record] of all
//     these ids: durably, before it tells anybody, and for good. It begins with that record or never.
//  2. When it has heard of every other initial member that it is bound to the same record, or of one that
//     it has begun with it, it begins: it writes the record as the start of its log. Only then is
//     there a raft node that may vote.
//
// So all initial members have to be there once. From then on a majority is enough: a member that was bound and
// has not begun yet need hear of one that has.
//
// # Why there is one cluster
//
// Two different records can both be begun only if every directory of one of them has been lost
// before any of the other was bound:
//
//   - A member that begins with a record knows that all directories in it were bound to it, by step 2. A
//     directory is bound to one record in its life. So two records that were begun have no directory
//     in common: under each name there are two, of which one was lost and the other made later.
//   - If both are begun by a majority, some name is in both majorities. Let x be its older
//     directory, of the record R, and x' its younger, of R'. x began with R, and then it was lost:
//     so all directories of R had been made by then. R' contains x', so nobody was bound to R' before
//     x' was made, which was later. So under each name the directory of R' was alive later than that
//     of R was made: it is the younger one, and that of R is lost.
//
// The weaker rules that come to mind are wrong, and each is a mutant that the tests must catch. To
// begin with a majority: a and c begin, a is lost, c is down, b was never started, and a and b
// begin again. To begin as soon as all ids are known, without being bound: b answers, begins with the
// directory of a, and a takes that over and is lost; c still has b's answer, asks a's new directory,
// and begins with that; b grants with the old one, c with the new. One disk was lost.
//
// # What it costs
//
// An initial member that loses its directory between step 1 and the beginning of all leaves the others
// bound to a record that nobody can begin with: they say so, and are begun again with empty
// directories. Nothing was granted by then. One that is lost before step 1 is just replaced by what its
// new directory says.
package bootstrap

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

// Record is what a cluster begins with, beside the state of a backup.
type Record struct {
	Members   []statemachine.Member `json:"members"` // by name
	TokenBase uint64                `json:"token_base"`
}

// Standing is what a member says of itself, to those that it asks and to those that ask it. All but Joins
// is durable when it is said.
type Standing struct {
	ID   uint64 `json:"id"`
	Name string `json:"name"`
	// Terms is the hash of what must be the same at all initial members before they know each other.
	Terms uint64 `json:"terms,omitempty"`
	// Base is what its tokens shall be above.
	Base uint64 `json:"base,omitempty"`
	// Bound is the hash of the record that it has bound itself to; 0 for none.
	Bound uint64 `json:"bound,omitempty"`
	// Bootstrapped says that it is a member of a cluster, and BootstrapHash is the hash of the record that this
	// began with; 0 if it joined later, and does not know.
	Bootstrapped  bool   `json:"begun,omitempty"`
	BootstrapHash uint64 `json:"founding,omitempty"`
	// Joins says that it waits to be added to a cluster, and founds none.
	Joins bool `json:"joins,omitempty"`
}

// Config is what an initial member is made of.
type Config struct {
	Self   statemachine.Member
	Others []statemachine.Member // the other initial members, by name and address; they have no ids
	Terms  uint64                // see Terms
	Base   uint64                // durable, so that it is the same in each life of the directory
	Bound  *Record               // what an earlier life has bound this directory to
	// Bind makes a record durable, as what this directory is bound to.
	Bind func(Record) error
	// Hash tells records apart, with all that the cluster begins with.
	Hash func(Record) uint64
}

// Bootstrapper is a directory that is to begin with others. It is not safe for concurrent use.
type Bootstrapper struct {
	cfg     Config
	heard   map[string]Standing // the last of each other initial member
	bound   *Record
	hash    uint64 // of bound
	begun   bool   // another has begun with bound
	refused error
}

// New returns an initial member. One that has nobody to wait for can begin at once.
func New(cfg Config) (*Bootstrapper, error) {
	f := &Bootstrapper{cfg: cfg, heard: map[string]Standing{}}
	if cfg.Bound != nil {
		f.note(*cfg.Bound)
	}
	return f, f.bind()
}

func (f *Bootstrapper) note(r Record) { f.bound, f.hash = &r, f.cfg.Hash(r) }

// Standing is what it says of itself.
func (f *Bootstrapper) Standing() Standing {
	return Standing{
		ID: f.cfg.Self.ID, Name: f.cfg.Self.Name,
		Terms: f.cfg.Terms, Base: f.cfg.Base, Bound: f.hash,
	}
}

// Others are those to ask, and where. A member that is bound goes by the record that it is bound to.
func (f *Bootstrapper) Others() []statemachine.Member {
	if f.bound == nil {
		return f.cfg.Others
	}
	return slices.DeleteFunc(slices.Clone(f.bound.Members), func(m statemachine.Member) bool { return m.Name == f.cfg.Self.Name })
}

// Hear records what another says of itself. An error is for good: this directory cannot begin, or
// its disk has failed.
func (f *Bootstrapper) Hear(s Standing) error {
	if f.refused != nil {
		return f.refused
	}
	if !slices.ContainsFunc(f.Others(), func(m statemachine.Member) bool { return m.Name == s.Name }) {
		return nil
	}
	if s.Bootstrapped {
		switch {
		case f.bound != nil && s.BootstrapHash == f.hash:
			f.begun = true
			return nil
		case f.bound != nil && s.BootstrapHash == 0:
			// It joined a cluster later: ours, or another. Somebody else knows.
			f.heard[s.Name] = s
			return nil
		}
		f.refused = f.excluded(s)
		return f.refused
	}
	f.heard[s.Name] = s
	return f.bind()
}

// Missed notes that an initial member could not be asked. It may have lost its directory since, so what it
// has said is worth nothing as long as nothing is bound.
func (f *Bootstrapper) Missed(name string) {
	if f.bound == nil || f.heard[name].Bound != f.hash {
		delete(f.heard, name)
	}
}

// bind binds the directory, if all are there.
func (f *Bootstrapper) bind() error {
	if f.bound != nil {
		return nil
	}
	r := Record{TokenBase: f.cfg.Base, Members: []statemachine.Member{f.cfg.Self}}
	for _, o := range f.cfg.Others {
		s, ok := f.heard[o.Name]
		if !ok || !f.agrees(s) {
			return nil
		}
		r.Members = append(r.Members, statemachine.Member{ID: s.ID, Name: o.Name, Addr: o.Addr})
		r.TokenBase = max(r.TokenBase, s.Base)
	}
	slices.SortFunc(r.Members, func(a, b statemachine.Member) int { return cmp.Compare(a.Name, b.Name) })
	if err := f.cfg.Bind(r); err != nil {
		f.refused = err // nobody knows what is on the disk
		return err
	}
	f.note(r)
	return nil
}

func (f *Bootstrapper) agrees(s Standing) bool {
	return !s.Bootstrapped && !s.Joins && s.Terms == f.cfg.Terms
}

// Record is what to begin with, and whether it is time to.
func (f *Bootstrapper) Record() (r Record, ready bool) {
	if f.bound == nil || f.refused != nil {
		return r, false
	}
	for _, o := range f.Others() {
		s := f.heard[o.Name]
		if !f.begun && (s.Bound != f.hash || s.ID != o.ID) {
			return r, false
		}
	}
	return *f.bound, true
}

// Waits tells why it waits for another initial member; "" if it does not.
func (f *Bootstrapper) Waits(name string) string {
	s, ok := f.heard[name]
	switch {
	case !ok:
		return "it has not answered"
	case f.conflicts(s):
		return f.conflict(s).Error()
	case s.Bootstrapped:
		return "it has joined a cluster, and does not know how that has begun"
	case s.Joins:
		return "it was started with join=true, and waits to be added: start the first members of a cluster without that"
	case s.Terms != f.cfg.Terms && (f.bound == nil || s.Bound != f.hash):
		return fmt.Sprintf("the members %q and %q were started for the first time with different peers=, or restored from different backups: give all the same", f.cfg.Self.Name, name)
	case f.bound != nil && s.Bound != f.hash:
		return "it waits for others, too"
	}
	return ""
}

// conflicts reports whether another cannot begin with the record that this one is bound to.
func (f *Bootstrapper) conflicts(s Standing) bool {
	if f.bound == nil || s.Bootstrapped {
		return false
	}
	return s.ID != f.id(s.Name) || s.Bound != 0 && s.Bound != f.hash
}

// id is whom the record has under a name.
func (f *Bootstrapper) id(name string) uint64 {
	for _, m := range f.bound.Members {
		if m.Name == name {
			return m.ID
		}
	}
	return 0
}

// Stuck says why the record that this directory is bound to will hardly be begun with by anybody:
// all have answered, and one cannot. Only if somebody has begun who was not heard since may it go
// on yet.
func (f *Bootstrapper) Stuck() error {
	var why error
	for _, o := range f.Others() {
		s, ok := f.heard[o.Name]
		if !ok || f.begun {
			return nil
		}
		if f.conflicts(s) {
			why = f.conflict(s)
		}
	}
	return why
}

func (f *Bootstrapper) conflict(s Standing) error {
	return fmt.Errorf("two directories have said that they are the member %q, while the cluster was to begin: nothing was granted yet: begin again with empty directories on all members", s.Name)
}

// excluded is what a member that has begun means for a directory that it does not know.
func (f *Bootstrapper) excluded(s Standing) error {
	return fmt.Errorf("the cluster has begun, as its member %q says, with another directory of the member %q than this one: if that is lost, start this one with join=true, and replace it by itself: Admin.ReplaceMember, or POST /members?remove=%[2]s&add=%[2]s=%[3]s; for a name that the cluster does not have, Admin.AddMember, or add= alone",
		s.Name, f.cfg.Self.Name, cmp.Or(f.cfg.Self.Addr, "HOST:PORT"))
}
