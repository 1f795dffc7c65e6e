package sim

import "github.com/fencelock/fencelock/backend/raftlocal/internal/mutants"

// mutant is a way to be wrong, and within how many seeds that must show: many times as many as
// it took when it was written. With a fault, only that goes wrong in these runs, because the
// mutant needs one that is rare among all.
type mutant struct {
	name  string
	seeds uint64
	fault string
	// blind is without the model, and so by what a user could see.
	blind bool
}

var wrongs = []mutant{
	{name: "ack before fsync", seeds: 200},
	{name: "continue after a failed fsync", seeds: 1000},
	{name: "votes not persisted", seeds: 500, fault: "voters forget"},
	{name: "messages before the sync", seeds: 1000},
	{name: "truncation ignored", seeds: 1000},
	{name: "no cap on a look at the clock", seeds: 200},
	{name: "clock starts again at election", seeds: 200},
	{name: "serves before its own term", seeds: 1000},
	{name: "reads without a majority", seeds: 200, fault: "leader sleeps apart"},
	{name: "packets of old connections", seeds: 500, fault: "lines stall and break"},
	{name: "a try behind its own release", seeds: 500, fault: "tries given up at once"},
	{name: "lease counted from the answer", seeds: 500},
	{name: "snapshot not synced", seeds: 200},
	{name: "no memory of replies", seeds: 200},
	{name: "no memory of replies", seeds: 500, blind: true},
	{name: "replies not in the snapshot", seeds: 500},
	{name: "last token not in the snapshot", seeds: 500},
	{name: "whole TTL again at restore", seeds: 200},
	{name: "whole TTL again at election", seeds: 200},
	{name: "whole TTL again at election", seeds: 500, blind: true},
	{name: "waiters end early", seeds: 500},
	{name: "heard by nothing", seeds: 500},
	{name: "who renews is ended", seeds: 200, fault: "power"},
	{name: "early expiry", seeds: 200},
	{name: "early expiry", seeds: 200, blind: true},
	{name: "order of a map", seeds: 200},
	{name: "renewal revives", seeds: 200},
	{name: "evicts whoever holds", seeds: 200},
	{name: "evicts whoever holds", seeds: 200, blind: true},
	{name: "a page leaves one out", seeds: 500},
	{name: "renewal revives", seeds: 500, blind: true},
	{name: "founding by a majority", seeds: 1000, fault: "first start"},
	{name: "begins as soon as all ids are known", seeds: 1000, fault: "first start"},
	{name: "begun without it is not refused", seeds: 200, fault: "directory lost"},
	{name: "id not drawn", seeds: 500, fault: "directory lost beside a laggard"},
	{name: "id handed out before it is durable", seeds: 500, fault: "first start"},
	{name: "stale id is added", seeds: 1000, fault: "members change,directory lost"},
}

var patches = []mutants.Patch{
	{
		File: "../bootstrap/bootstrapper.go",
		Old:  "(s.Bound != f.hash || s.ID != o.ID) {\n			return r, false\n",
		Put:  "(s.Bound != f.hash && !wrong(\"begins as soon as all ids are known\") || s.ID != o.ID) {\n			if wrong(\"founding by a majority\") && f.most() {\n				return *f.bound, true\n			}\n			return r, false\n",
	},
	{
		File: "../bootstrap/bootstrapper.go",
		Old:  "// Waits tells",
		Put:  "func (f *Bootstrapper) most() bool {\n	n := 1\n	for _, o := range f.Others() {\n		if s := f.heard[o.Name]; s.Bound == f.hash && s.ID == o.ID {\n			n++\n		}\n	}\n	return n > len(f.bound.Members)/2\n}\n\n// Waits tells",
	},
	{
		File: "../bootstrap/bootstrapper.go",
		Old:  "		f.refused = f.excluded(s)\n",
		Put:  "		if wrong(\"begun without it is not refused\") {\n			return nil\n		}\n		f.refused = f.excluded(s)\n",
	},
	{
		File: "../member/identity.go",
		Old:  "	for !legalID(id) || id == ID(cfg.Cluster, cfg.Name) {\n",
		Put:  "	if wrong(\"id not drawn\") {\n		id = ID(cfg.Cluster, cfg.Name)\n	}\n	for !legalID(id) || id == ID(cfg.Cluster, cfg.Name) && !wrong(\"id not drawn\") {\n",
	},
	{
		File: "../member/identity.go",
		Old:  "owner != ID(cfg.Cluster, cfg.Name) {\n",
		Put:  "owner != ID(cfg.Cluster, cfg.Name) || wrong(\"id not drawn\") {\n",
	},
	{
		File: "../member/identity.go",
		Old:  "	return id, false, wal.CreateSized(cfg.FS,",
		Put:  "	if wrong(\"id handed out before it is durable\") {\n		return id, false, nil\n	}\n	return id, false, wal.CreateSized(cfg.FS,",
	},
	{
		File: "../sim/operator.go",
		Old:  "		do.Add = append(do.Add, o.w.hosts[place].self)\n",
		Put:  "		add := o.w.hosts[place].self\n		if wrong(\"stale id is added\") {\n			if o.told == nil {\n				o.told = map[int]uint64{}\n			}\n			if o.told[place] == 0 {\n				o.told[place] = add.ID\n			}\n			add.ID = o.told[place]\n		}\n		do.Add = append(do.Add, add)\n",
	},
	{
		File: "../sim/operator.go",
		Old:  "	gaveUp   bool // a change",
		Put:  "	told     map[int]uint64\n	gaveUp   bool // a change",
	},
	{
		File: "../wal/log.go",
		Old:  "	if err := s.file.Sync(); err != nil {\n		return l.fail(err)\n	}\n	l.syncs.add(time.Since(began))\n	if err := l.look(s)",
		Put:  "	if !wrong(\"ack before fsync\") {\n		if err := s.file.Sync(); err != nil && !wrong(\"continue after a failed fsync\") {\n			return l.fail(err)\n		}\n	}\n	l.syncs.add(time.Since(began))\n	if err := l.look(s)",
	},
	{
		File: "../member/store.go",
		Old:  "rd.MustSync && restored == nil {",
		Put:  "rd.MustSync && restored == nil && !wrong(\"votes not persisted\") {",
	},
	{
		File: "../member/messages.go",
		Old:  "	msgs := p.worthwhile(rd, all)\n",
		Put:  "	msgs := p.worthwhile(rd, all)\n	if wrong(\"messages before the sync\") {\n		return msgs, nil\n	}\n",
	},
	{
		File: "../wal/replay.go",
		Old:  "		c.Entries = append(c.Entries[:first-c.Entries[0].GetIndex()], record.entries...)\n",
		Put:  "		if n := c.Entries[0].GetIndex() + uint64(len(c.Entries)) - first; wrong(\"truncation ignored\") && n > 0 {\n			record.entries = record.entries[min(n, uint64(len(record.entries))):]\n			first += n\n		}\n		c.Entries = append(c.Entries[:first-c.Entries[0].GetIndex()], record.entries...)\n",
	},
	{
		File: "../member/leadership.go",
		Old:  "int64(min(d, maxLook))",
		Put:  "int64(min(d, map[bool]time.Duration{false: maxLook, true: time.Hour}[wrong(\"no cap on a look at the clock\")]))",
	},
	{
		File: "../member/propose.go",
		Old:  "	p.clock.start(p.state.machine.Clock(), now)\n",
		Put:  "	p.clock.start(p.state.machine.Clock(), now)\n	if wrong(\"clock starts again at election\") {\n		p.clock.start(int64(now), now)\n	}\n",
	},
	{
		File: "../member/flush.go",
		Old:  "	if m.consensus.noteRole(rd) {\n		m.stopServing()\n	}\n",
		Put:  "	if m.consensus.noteRole(rd) {\n		m.stopServing()\n	}\n	if m.consensus.leading && !m.consensus.serving && wrong(\"serves before its own term\") {\n		m.startServing(now)\n	}\n",
	},
	{
		File: "../member/reads.go",
		Old:  "	r.next = nil\n",
		Put:  "	r.next = nil\n	if wrong(\"reads without a majority\") {\n		r.rounds[len(r.rounds)-1].confirmed = true\n		return\n	}\n",
	},
	{
		File: "../member/clients.go",
		Old:  "cmd.Op != command.Open && !cl.has(cmd.Session)",
		Put:  "cmd.Op != command.Open && !cl.has(cmd.Session) && !wrong(\"packets of old connections\")",
	},
	{
		File: "../member/clients.go",
		Old:  "	has := cs.bySession[cmd.Session]\n	return has != cl",
		Put:  "	has := cs.bySession[cmd.Session]\n	if wrong(\"packets of old connections\") {\n		return false\n	}\n	return has != cl",
	},
	{
		File: "../sim/attempt.go",
		Old:  "		switch {\n		case t.over:\n		case !known:\n			// It may",
		Put:  "		if wrong(\"lease counted from the answer\") {\n			t.sent = c.local()\n		}\n		switch {\n		case t.over:\n		case !known:\n			// It may",
	},
	{
		File: "../sim/attempt.go",
		Old:  "		for i, o := range all {\n			o.renewed",
		Put:  "		if wrong(\"lease counted from the answer\") {\n			sent = c.local()\n		}\n		for i, o := range all {\n			o.renewed",
	},
	{
		// To wait for the leader's own proposals is to wait for a majority, too.
		File: "../member/reads.go",
		Old:  " && rd.proposals.completed >= r.rounds[0].proposed",
		Put:  " && (rd.proposals.completed >= r.rounds[0].proposed || wrong(\"reads without a majority\"))",
	},
	{
		File: "../member/reads.go",
		Old:  "!rd.overtaken(cmd, from)",
		Put:  "(!rd.overtaken(cmd, from) || wrong(\"a try behind its own release\"))",
	},
	{
		File: "../snapshot/snapshot.go",
		Old:  "		err = f.Sync()\n",
		Put:  "		if !wrong(\"snapshot not synced\") {\n			err = f.Sync()\n		}\n",
	},
	{
		File: "../statemachine/statemachine.go",
		Old:  "	if !s.replies.admit(c, r) {\n",
		Put:  "	if !s.replies.admit(c, r) && !wrong(\"no memory of replies\") {\n",
	},
	{
		File: "../statemachine/snapshot.go",
		Old:  "	return s.replies.append(dst)\n",
		Put:  "	if wrong(\"replies not in the snapshot\") {\n		return (&replies{lowest: 1}).append(dst)\n	}\n	return s.replies.append(dst)\n",
	},
	{
		File: "../statemachine/snapshot.go",
		Old:  "[]uint64{m.token, m.base, m.number} {\n",
		Put:  "[]uint64{m.token, m.base, m.number} {\n		if wrong(\"last token not in the snapshot\") && v == m.token {\n			v = 0\n		}\n",
	},
	{
		File: "../statemachine/snapshot.go",
		Old:  "	return r.m, nil\n",
		Put:  "	if wrong(\"whole TTL again at restore\") {\n		r.m.locks.anew()\n	}\n	return r.m, nil\n",
	},
	{
		File: "../statemachine/claim.go",
		Old:  "func (l *locks) expire() {",
		Put:  "func (l *locks) anew() {\n	for _, c := range l.claims {\n		l.overdue.move(c.index, l.after(int64(c.ttl)))\n	}\n}\n\n// Anew is of a mutant.\nfunc (m *Machine) Anew() { m.locks.anew() }\n\nfunc (l *locks) expire() {",
	},
	{
		File: "../member/releases.go",
		Old:  "	if number != 0 {\n",
		Put:  "	if wrong(\"evicts whoever holds\") {\n		number = machine.Grant(cmd.Key, machine.Inspect(cmd.Key).AttemptID)\n	}\n	if number != 0 {\n",
	},
	{
		File: "../statemachine/inspect.go",
		Old:  "			return locks, all[i-1].number\n",
		Put:  "			if wrong(\"a page leaves one out\") {\n				return locks, all[i].number\n			}\n			return locks, all[i-1].number\n",
	},
	{
		File: "../member/flush.go",
		Old:  "	m.consensus.serving = true\n",
		Put:  "	m.consensus.serving = true\n	if wrong(\"whole TTL again at election\") {\n		m.state.machine.Anew()\n	}\n",
	},
	{
		File: "../statemachine/claim.go",
		Old:  "		number, ok := l.overdue.due(l.clock)\n",
		Put:  "		now := l.clock\n		if wrong(\"early expiry\") {\n			now += 400e6\n		}\n		number, ok := l.overdue.due(now)\n",
	},
	{
		File: "../statemachine/claim.go",
		Old:  "		c := l.claims[number]\n",
		Put:  "		c := l.claims[number]\n		for _, other := range l.claims {\n			if wrong(\"order of a map\") && l.overdue[other.index].at <= l.clock {\n				c = other\n				break\n			}\n		}\n",
	},
	{
		File: "../statemachine/deadlines.go",
		Old:  "!some || at > now {\n		return nil\n	}\n",
		Put:  "!some || at > now && !wrong(\"waiters end early\") {\n		return nil\n	}\n	if wrong(\"waiters end early\") {\n		now += 400e6\n	}\n",
	},
	{
		File: "../statemachine/claim.go",
		Old:  "	l.hear(c)\n	l.overdue.move(c.index",
		Put:  "	if !wrong(\"heard by nothing\") {\n		l.hear(c)\n	}\n	l.overdue.move(c.index",
	},
	{
		File: "../member/releases.go",
		Old:  "	if len(u.due) == 0 {\n",
		Put:  "	if len(u.due) == 0 || wrong(\"who renews is ended\") {\n",
	},
	{
		File: "../statemachine/claim.go",
		Old:  "		if c := l.claims[number]; c != nil {\n",
		Put:  "		if c := l.claims[number]; c == nil && wrong(\"renewal revives\") {\n			r.Claims[i].Code, r.Claims[i].Token = command.Granted, number\n		} else if c != nil {\n",
	},
}
