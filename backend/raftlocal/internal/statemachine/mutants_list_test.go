package statemachine

import "github.com/fencelock/fencelock/backend/raftlocal/internal/mutants"

// mutant is a way to be wrong, and a test that must notice.
type mutant struct{ name, test string }

var wrongs = []mutant{
	{"commands run as often as they come", "TestCommandRunsOnce"},
	{"commands run as often as they come", "TestMachineIsTheModel"},
	{"commands run as often as they come", "TestPromises"},
	{"late copies run", "TestLowest"},
	{"late copies run", "TestMachineIsTheModel"},
	{"replies not in the snapshot", "TestCommandRunsOnce"},
	{"replies not in the snapshot", "TestSameLogSameState"},
	{"replies not in the snapshot", "TestPromises"},
	{"lowest not in the snapshot", "TestLowest"},
	{"lowest not in the snapshot", "TestSameLogSameState"},
	{"TTL begins again at restore", "TestSnapshotHasAll"},
	{"TTL begins again at restore", "TestSameLogSameState"},
	{"leases of 60 %", "TestExpiry"},
	{"leases of 60 %", "TestMachineIsTheModel"},
	{"leases of 60 %", "TestPromises"},
	{"the clock goes back", "TestClockNeverGoesBack"},
	{"the clock goes back", "TestMachineIsTheModel"},
	{"some tokens not raised", "TestMachineIsTheModel"},
	{"some tokens not raised", "TestPromises"},
	{"tokens begin again with the log", "TestTokens"},
	{"tokens begin again with the log", "TestPromises"},
	{"last token not in the snapshot", "TestSameLogSameState"},
	{"last token not in the snapshot", "TestPromises"},
	{"queues in another order after restore", "TestSameLogSameState"},
	{"queues in another order after restore", "TestPromises"},
	{"expiry in the order of a map", "TestMachineIsTheModel"},
	{"expiry in the order of a map", "TestSameLogSameState"},
	{"snapshot in the order of a map", "TestSameLogSameState"},
	{"renewal brings back what has ended", "TestExpiry"},
	{"renewal brings back what has ended", "TestMachineIsTheModel"},
	{"renewal brings back what has ended", "TestPromises"},
	{"anyone may release", "TestReleaseEndsOnlyItsOwn"},
	{"anyone may release", "TestMachineIsTheModel"},
	{"anyone may release", "TestPromises"},
	{"the next keeps its deadline", "TestReleaseHandsOver"},
	{"the next keeps its deadline", "TestMachineIsTheModel"},
	{"the next is not told", "TestReleaseHandsOver"},
	{"the next is not told", "TestMachineIsTheModel"},
	{"the next is not told", "TestPromises"},
	{"one that waits and ends blocks the queue", "TestMachineIsTheModel"},
	{"one that waits and ends blocks the queue", "TestPromises"},
	{"two are granted", "TestMachineIsTheModel"},
	{"two are granted", "TestPromises"},
	{"asking again renews a grant", "TestAcquireAgainWhileHolding"},
	{"asking again renews a grant", "TestMachineIsTheModel"},
	{"a number is given again after restore", "TestPromises"},
	{"keys are remembered", "TestIdleKeysCostNothing"},
	{"maps keep their size", "TestIdleKeysCostNothing"},
	{"replies are remembered", "TestLowest"},
}

// patch is where a source is changed for mutants: old stands in file, once.
var patches = []mutants.Patch{
	{
		File: "session.go",
		Old:  "was.code != 0 {",
		Put:  "was.code != 0 && !wrong(\"commands run as often as they come\") {",
	},
	{
		File: "session.go",
		Old:  "	if c.Seq < p.lowest {\n",
		Put:  "	if c.Seq < p.lowest && wrong(\"late copies run\") {\n		p.lowest, p.span = c.Seq, 0\n	}\n	if c.Seq < p.lowest {\n",
	},
	{
		File: "snapshot.go",
		Old:  "	count := uint64(0)\n",
		Put:  "	count := uint64(0)\n	if wrong(\"replies not in the snapshot\") {\n		return binary.AppendUvarint(dst, 0)\n	}\n",
	},
	{
		File: "snapshot.go",
		Old:  "	if p.lowest == 0 {\n",
		Put:  "	if wrong(\"lowest not in the snapshot\") {\n		p.lowest = 1\n	}\n	if p.lowest == 0 {\n",
	},
	{
		File: "snapshot.go",
		Old:  "	return r.m.clock + left\n",
		Put:  "	if wrong(\"TTL begins again at restore\") {\n		return r.m.clock + int64(10e9)\n	}\n	return r.m.clock + left\n",
	},
	{
		File: "statemachine.go",
		Old:  "	if at := n.clock + d;",
		Put:  "	if wrong(\"leases of 60 %\") {\n		d = d / 10 * 6\n	}\n	if at := n.clock + d;",
	},
	{
		File: "statemachine.go",
		Old:  "	m.clock = max(m.clock, b.Stamp)\n",
		Put:  "	m.clock = max(m.clock, b.Stamp)\n	if wrong(\"the clock goes back\") {\n		m.clock = b.Stamp\n	}\n",
	},
	{
		File: "statemachine.go",
		Old:  "	m.locks.expire()\n",
		Put:  "	if wrong(\"renewal brings back what has ended\") {\n		defer m.locks.expire()\n	} else {\n		m.locks.expire()\n	}\n",
	},
	{
		File: "claim.go",
		Old:  "	c.token = l.token\n",
		Put:  "	if wrong(\"some tokens not raised\") && l.index%7 == 0 {\n		l.token--\n	}\n	c.token = l.token\n",
	},
	{
		File: "statemachine.go",
		Old:  "	n.base = max(n.base, base)\n",
		Put:  "	n.base = max(n.base, base)\n	if wrong(\"tokens begin again with the log\") {\n		n.base, n.token = 0, 0\n	}\n",
	},
	{
		File: "statemachine.go",
		Old:  "	n.number = max(n.number, base)\n",
		Put:  "	if n.number = max(n.number, base); wrong(\"a number is given again after restore\") {\n		n.number = 0\n	}\n",
	},
	{
		File: "snapshot.go",
		Old:  "	return r.m, nil\n",
		Put:  "	if wrong(\"last token not in the snapshot\") {\n		r.m.token = 0\n	}\n	return r.m, nil\n",
	},
	{
		File: "snapshot.go",
		Old:  "		r.m.locks.link(q, c, deadline)\n",
		Put:  "		r.m.locks.link(q, c, deadline)\n		if wrong(\"queues in another order after restore\") && q.length > 2 {\n			q.last, c.prev.next = c.prev, nil\n			c.prev, c.next = q.first, q.first.next\n			c.next.prev, q.first.next = c, c\n		}\n",
	},
	{
		File: "claim.go",
		Old:  "	for {\n		number, ok := l.overdue.due(l.clock)\n",
		Put:  "	for number, c := range l.claims {\n		if wrong(\"expiry in the order of a map\") && l.overdue[c.index].at <= l.clock {\n			l.push(l.claims[number], command.Expired)\n			l.remove(c)\n		}\n	}\n	for {\n		number, ok := l.overdue.due(l.clock)\n",
	},
	{
		File: "snapshot.go",
		Old:  "	for _, number := range slices.Sorted(maps.Keys(m.sessions.byNumber)) {\n",
		Put:  "	for number := range m.sessions.byNumber {\n		if wrong(\"snapshot in the order of a map\") {\n			dst = append(dst, byte(number))\n		}\n	}\n	for _, number := range slices.Sorted(maps.Keys(m.sessions.byNumber)) {\n",
	},
	{
		File: "claim.go",
		Old:  "		c = q.find(cmd.AttemptID)\n",
		Put:  "		c = q.find(cmd.AttemptID)\n		if c == nil && wrong(\"anyone may release\") {\n			c = q.first\n		}\n",
	},
	{
		File: "claim.go",
		Old:  "		l.overdue.move(next.index, l.after(int64(next.ttl)))\n		l.push(next, command.Granted)\n",
		Put:  "		if !wrong(\"the next keeps its deadline\") {\n			l.overdue.move(next.index, l.after(int64(next.ttl)))\n		}\n		if !wrong(\"the next is not told\") {\n			l.push(next, command.Granted)\n		}\n",
	},
	{
		File: "claim.go",
		Old:  "		c := l.claims[number]\n",
		Put:  "		c := l.claims[number]\n		if c.token == 0 && wrong(\"one that waits and ends blocks the queue\") {\n			l.push(c, command.Expired)\n			l.overdue.move(c.index, l.after(int64(c.ttl)))\n			continue\n		}\n",
	},
	{
		File: "claim.go",
		Old:  "	if c.queue.first == c {\n",
		Put:  "	if c.queue.first == c || wrong(\"two are granted\") && l.index%40 == 0 {\n",
	},
	{
		File: "claim.go",
		Old:  "			if c.token == 0 {\n",
		Put:  "			if c.token == 0 || wrong(\"asking again renews a grant\") {\n",
	},
	{
		File: "claim.go",
		Old:  "		delete(l.queues, q.key)\n",
		Put:  "		if delete(l.queues, q.key); wrong(\"keys are remembered\") {\n			l.queues[q.key] = &queue{}\n		}\n",
	},
	{
		File: "memory.go",
		Old:  "	if l.most < muchRoom",
		Put:  "	if wrong(\"maps keep their size\") || l.most < muchRoom",
	},
	{
		File: "session.go",
		Old:  "		p.lowest++\n		p.span--\n",
		Put:  "		if wrong(\"replies are remembered\") {\n			return\n		}\n		p.lowest++\n		p.span--\n",
	},
}
