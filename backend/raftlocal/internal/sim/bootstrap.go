package sim

import (
	"hash/fnv"
	"slices"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/bootstrap"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

// A host that founds does what a server does before it has a member: package bootstrap decides,
// and here are the files, and the questions that are late and lost.

func (h *host) config() member.Config {
	w, out := h.w, callbacks{h, h.life}
	return member.Config{
		ID: h.self.ID, Name: h.self.Name, Cluster: "sim", FS: h.disk, Join: h.join, SegmentBytes: w.scenario.segment,
		Callbacks: out, ElectionTicks: w.scenario.electionTicks,
		SnapshotEntries: w.scenario.snapshotEntries, KeepEntries: w.scenario.keepEntries,
		Applied: out.applied,
	}
}

// begin opens what the disk holds.
func (h *host) begin() error {
	id, begun, err := member.Draw(h.config())
	if err != nil {
		return err
	}
	if h.self.ID != 0 && h.self.ID != id {
		h.w.fail("%s was %x, and is %x without having lost its directory", h, h.self.ID, id)
	}
	h.self.ID = id
	h.w.byID[id] = h
	if begun || h.join {
		return h.open(bootstrap.Record{})
	}
	f, err := newFounder(h)
	if err != nil {
		return err
	}
	if r, ready := f.Record(); ready {
		return h.open(r)
	}
	delete(h.w.losses.records, id) // it was about to begin, and has not
	h.founder = f
	return nil
}

func (h *host) open(r bootstrap.Record) (err error) {
	w := h.w
	cfg := h.config()
	if len(r.Members) > 0 {
		hash := hashRecord(r)
		for id, other := range w.losses.records {
			if other != hash {
				w.fail("%s begins with another record than %x", h, id)
			}
		}
		w.losses.records[h.self.ID] = hash
		if w.losses.lost == h {
			w.losses.lost = nil // before the cluster had begun
		}
		cfg.Members, cfg.TokenBase = r.Members, r.TokenBase
	}
	h.founder = nil
	m, err := member.Open(cfg)
	if err != nil {
		return err
	}
	h.member = m
	if len(m.Members()) > 0 {
		return bootstrap.Forget(h.disk)
	}
	return nil
}

func hashRecord(r bootstrap.Record) uint64 {
	b, err := member.Beginning(member.Config{Members: r.Members, TokenBase: r.TokenBase})
	if err != nil {
		panic(err)
	}
	f := fnv.New64a()
	_, _ = f.Write(b)
	return f.Sum64()
}

// founder is a host while it is to found a cluster.
type founder struct {
	*bootstrap.Bootstrapper
	h     *host
	stuck time.Duration // since when it seems that it can never begin
}

func newFounder(h *host) (*founder, error) {
	saved, err := bootstrap.Load(h.disk)
	if err == nil && saved == nil {
		saved = &bootstrap.Saved{}
		err = bootstrap.Save(h.disk, *saved)
	}
	if err != nil {
		return nil, err
	}
	// An operator keeps peers= as the members are.
	peers := h.w.initialMembers
	for _, o := range h.w.hosts[len(peers):] {
		peers = append(slices.Clip(peers), statemachine.Member{Name: o.self.Name, Addr: o.self.Addr})
	}
	var others []statemachine.Member
	for _, p := range peers {
		if p.Name != h.self.Name {
			others = append(others, p)
		}
	}
	f, err := bootstrap.New(bootstrap.Config{
		Self: h.self, Others: others, Terms: bootstrap.Terms("sim", peers, nil), Base: saved.Base, Bound: saved.Bound,
		Bind: func(r bootstrap.Record) error {
			return bootstrap.Save(h.disk, bootstrap.Saved{Base: saved.Base, Bound: &r})
		},
		Hash: hashRecord,
	})
	return &founder{Bootstrapper: f, h: h}, err
}

// standing is what a host says of itself; false if it says nothing.
func (h *host) standing() (bootstrap.Standing, bool) {
	switch {
	case h.founder != nil:
		return h.founder.Standing(), true
	case h.member != nil && len(h.member.Members()) == 0:
		return bootstrap.Standing{ID: h.self.ID, Name: h.self.Name, Joins: true}, true
	case h.member != nil:
		return bootstrap.Standing{ID: h.self.ID, Name: h.self.Name, Bootstrapped: true, BootstrapHash: h.w.losses.records[h.self.ID]}, true
	}
	return bootstrap.Standing{}, false
}

// ask asks all others, again and again.
func (f *founder) ask(life int) {
	h, w := f.h, f.h.w
	if life != h.life || h.founder == nil {
		return
	}
	for _, o := range f.Others() {
		for _, to := range w.hosts {
			if to.self.Name == o.Name {
				w.network.ask(h, to)
			}
		}
	}
	switch {
	case f.Stuck() == nil:
		f.stuck = 0
	case f.stuck == 0:
		f.stuck = w.now
	case w.now-f.stuck > 2*time.Second:
		w.losses.beginAgain()
	}
	w.after(w.some(50*time.Millisecond, 300*time.Millisecond), func() { f.ask(life) })
}

// ask carries a question, and an answer. Each may be late, or get nowhere.
func (n *network) ask(from, to *host) {
	w, life := n.w, from.life
	asks, _ := from.standing()
	missed := func() {
		w.after(n.latency(), func() {
			if from.life == life && from.founder != nil {
				from.founder.Missed(to.self.Name)
			}
		})
	}
	latency := func() time.Duration {
		d := n.latency()
		if w.rng.Float64() < n.late {
			d += time.Duration(w.rng.Int64N(int64(3 * time.Second)))
		}
		return d
	}
	if w.rng.Float64() < n.loss || !n.open(from.place, to.place) || !to.lives() {
		missed()
		return
	}
	theirs := to.life // of the one that takes the connection
	w.after(latency(), func() {
		if to.life != theirs || w.now < to.paused || !n.open(from.place, to.place) {
			missed()
			return
		}
		if to.founder != nil {
			to.founder.hear(asks)
		}
		answer, says := to.standing()
		if !says || to.life != theirs || !n.open(to.place, from.place) {
			missed()
			return
		}
		w.trace.note('q', uint64(from.place), uint64(to.place), asks.Bound, answer.Bound, answer.BootstrapHash)
		w.after(latency(), func() {
			if from.life == life && from.founder != nil {
				from.founder.hear(answer)
			}
		})
	})
}

// hear records what another says.
func (f *founder) hear(s bootstrap.Standing) {
	h := f.h
	var err error
	if h.running(func() { err = f.Hear(s) }) {
		h.restart()
		return
	}
	h.drive.take()
	switch {
	case err != nil && h.drive.faulty():
		h.crash(err.Error())
		h.restart()
	case err != nil:
		f.refused(err)
	default:
		if r, ready := f.Record(); ready {
			crashed := h.running(func() { err = h.open(r) })
			h.started(crashed, err)
		}
	}
}

// refused is when a host is told that it cannot begin: it must be one that has lost its directory.
// Its operator does as it says.
func (f *founder) refused(err error) {
	h, w := f.h, f.h.w
	if w.losses.lost != h {
		w.fail("%s has not lost its directory, and says: %v", h, err)
	}
	h.end(err.Error())
	h.join = true
	h.restart()
}
