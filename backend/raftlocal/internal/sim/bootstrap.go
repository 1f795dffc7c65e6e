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
	w := h.w
	return member.Config{
		ID: h.self.ID, Name: h.self.Name, Cluster: "sim", FS: h.disk, Join: h.join, SegmentBytes: w.scenario.segment,
		Callbacks: callbacks{h, h.life}, ElectionTicks: w.scenario.electionTicks,
		SnapshotEntries: w.scenario.snapshotEntries, KeepEntries: w.scenario.keepEntries,
		Applied: h.applied,
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
	f, err := h.newFounder()
	if err != nil {
		return err
	}
	if r, ready := f.Record(); ready {
		return h.open(r)
	}
	delete(h.w.records, id) // it was about to begin, and has not
	h.bootstrapper, h.stuck = f, 0
	return nil
}

func (h *host) open(r bootstrap.Record) (err error) {
	w := h.w
	cfg := h.config()
	if len(r.Members) > 0 {
		hash := hashRecord(r)
		for id, other := range w.records {
			if other != hash {
				w.fail("%s begins with another record than %x", h, id)
			}
		}
		w.records[h.self.ID] = hash
		if w.lost == h {
			w.lost = nil // before the cluster had begun
		}
		cfg.Members, cfg.TokenBase = r.Members, r.TokenBase
	}
	h.bootstrapper = nil
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

func (h *host) newFounder() (*bootstrap.Bootstrapper, error) {
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
	return bootstrap.New(bootstrap.Config{
		Self: h.self, Others: others, Terms: bootstrap.Terms("sim", peers, nil), Base: saved.Base, Bound: saved.Bound,
		Bind: func(r bootstrap.Record) error {
			return bootstrap.Save(h.disk, bootstrap.Saved{Base: saved.Base, Bound: &r})
		},
		Hash: hashRecord,
	})
}

// standing is what a host says of itself; false if it says nothing.
func (h *host) standing() (bootstrap.Standing, bool) {
	switch {
	case h.bootstrapper != nil:
		return h.bootstrapper.Standing(), true
	case h.member != nil && len(h.member.Members()) == 0:
		return bootstrap.Standing{ID: h.self.ID, Name: h.self.Name, Joins: true}, true
	case h.member != nil:
		return bootstrap.Standing{ID: h.self.ID, Name: h.self.Name, Bootstrapped: true, BootstrapHash: h.w.records[h.self.ID]}, true
	}
	return bootstrap.Standing{}, false
}

// ask asks all others, again and again.
func (h *host) ask(life int) {
	w := h.w
	if life != h.life || h.bootstrapper == nil {
		return
	}
	for _, o := range h.bootstrapper.Others() {
		for _, to := range w.hosts {
			if to.self.Name == o.Name {
				w.network.ask(h, to)
			}
		}
	}
	switch {
	case h.bootstrapper.Stuck() == nil:
		h.stuck = 0
	case h.stuck == 0:
		h.stuck = w.now
	case w.now-h.stuck > 2*time.Second:
		w.beginAgain()
	}
	w.after(w.some(50*time.Millisecond, 300*time.Millisecond), func() { h.ask(life) })
}

// ask carries a question, and an answer. Each may be late, or get nowhere.
func (n *network) ask(from, to *host) {
	w, life := n.w, from.life
	asks, _ := from.standing()
	missed := func() {
		w.after(n.latency(), func() {
			if from.life == life && from.bootstrapper != nil {
				from.bootstrapper.Missed(to.self.Name)
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
		to.hear(asks)
		answer, says := to.standing()
		if !says || to.life != theirs || !n.open(to.place, from.place) {
			missed()
			return
		}
		w.trace.note('q', uint64(from.place), uint64(to.place), asks.Bound, answer.Bound, answer.BootstrapHash)
		w.after(latency(), func() {
			if from.life == life {
				from.hear(answer)
			}
		})
	})
}

// hear records what another says.
func (h *host) hear(s bootstrap.Standing) {
	if h.bootstrapper == nil {
		return
	}
	var err error
	if h.running(func() { err = h.bootstrapper.Hear(s) }) {
		h.restart()
		return
	}
	h.drive.take()
	switch {
	case err != nil && h.drive.faulty():
		h.crash(err.Error())
		h.restart()
	case err != nil:
		h.refused(err)
	default:
		if r, ready := h.bootstrapper.Record(); ready {
			crashed := h.running(func() { err = h.open(r) })
			h.started(crashed, err)
		}
	}
}

// refused is when a host is told that it cannot begin: it must be one that has lost its directory.
// Its operator does as it says.
func (h *host) refused(err error) {
	w := h.w
	if w.lost != h {
		w.fail("%s has not lost its directory, and says: %v", h, err)
	}
	h.end(err.Error())
	h.join = true
	h.restart()
}
