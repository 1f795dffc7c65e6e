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
		Old:  "	if at := m.clock + d;",
		Put:  "	if wrong(\"leases of 60 %\") {\n		d = d / 10 * 6\n	}\n	if at := m.clock + d;",
	},
	{
		File: "statemachine.go",
		Old:  "	m.clock = max(m.clock, b.Stamp)\n",
		Put:  "	m.clock = max(m.clock, b.Stamp)\n	if wrong(\"the clock goes back\") {\n		m.clock = b.Stamp\n	}\n",
	},
	{
		File: "statemachine.go",
		Old:  "	m.expire()\n",
		Put:  "	if wrong(\"renewal brings back what has ended\") {\n		defer m.expire()\n	} else {\n		m.expire()\n	}\n",
	},
	{
		File: "claim.go",
		Old:  "	c.token = m.token\n",
		Put:  "	if wrong(\"some tokens not raised\") && m.index%7 == 0 {\n		m.token--\n	}\n	c.token = m.token\n",
	},
	{
		File: "claim.go",
		Old:  "	m.base = max(m.base, base)\n",
		Put:  "	m.base = max(m.base, base)\n	if wrong(\"tokens begin again with the log\") {\n		m.base, m.token = 0, 0\n	}\n",
	},
	{
		File: "claim.go",
		Old:  "	m.number = max(m.number, base)\n",
		Put:  "	if m.number = max(m.number, base); wrong(\"a number is given again after restore\") {\n		m.number = 0\n	}\n",
	},
	{
		File: "snapshot.go",
		Old:  "	return r.m, nil\n",
		Put:  "	if wrong(\"last token not in the snapshot\") {\n		r.m.token = 0\n	}\n	return r.m, nil\n",
	},
	{
		File: "snapshot.go",
		Old:  "		r.m.link(q, c, deadline)\n",
		Put:  "		r.m.link(q, c, deadline)\n		if wrong(\"queues in another order after restore\") && q.length > 2 {\n			q.last, c.prev.next = c.prev, nil\n			c.prev, c.next = q.first, q.first.next\n			c.next.prev, q.first.next = c, c\n		}\n",
	},
	{
		File: "claim.go",
		Old:  "	for {\n		number, ok := m.overdue.due(m.clock)\n",
		Put:  "	for number, c := range m.claims {\n		if wrong(\"expiry in the order of a map\") && m.overdue[c.index].at <= m.clock {\n			m.push(m.claims[number], command.Expired)\n			m.remove(c)\n		}\n	}\n	for {\n		number, ok := m.overdue.due(m.clock)\n",
	},
	{
		File: "snapshot.go",
		Old:  "	for _, number := range slices.Sorted(maps.Keys(m.sessions)) {\n",
		Put:  "	for number := range m.sessions {\n		if wrong(\"snapshot in the order of a map\") {\n			dst = append(dst, byte(number))\n		}\n	}\n	for _, number := range slices.Sorted(maps.Keys(m.sessions)) {\n",
	},
	{
		File: "claim.go",
		Old:  "		c = q.find(cmd.AttemptID)\n",
		Put:  "		c = q.find(cmd.AttemptID)\n		if c == nil && wrong(\"anyone may release\") {\n			c = q.first\n		}\n",
	},
	{
		File: "claim.go",
		Old:  "		m.overdue.move(next.index, m.after(int64(next.ttl)))\n		m.push(next, command.Granted)\n",
		Put:  "		if !wrong(\"the next keeps its deadline\") {\n			m.overdue.move(next.index, m.after(int64(next.ttl)))\n		}\n		if !wrong(\"the next is not told\") {\n			m.push(next, command.Granted)\n		}\n",
	},
	{
		File: "claim.go",
		Old:  "		c := m.claims[number]\n",
		Put:  "		c := m.claims[number]\n		if c.token == 0 && wrong(\"one that waits and ends blocks the queue\") {\n			m.push(c, command.Expired)\n			m.overdue.move(c.index, m.after(int64(c.ttl)))\n			continue\n		}\n",
	},
	{
		File: "claim.go",
		Old:  "	if c.queue.first == c {\n",
		Put:  "	if c.queue.first == c || wrong(\"two are granted\") && m.index%40 == 0 {\n",
	},
	{
		File: "claim.go",
		Old:  "			if c.token == 0 {\n",
		Put:  "			if c.token == 0 || wrong(\"asking again renews a grant\") {\n",
	},
	{
		File: "claim.go",
		Old:  "		delete(m.queues, q.key)\n",
		Put:  "		if delete(m.queues, q.key); wrong(\"keys are remembered\") {\n			m.queues[q.key] = &queue{}\n		}\n",
	},
	{
		File: "statemachine.go",
		Old:  "	if m.most < muchRoom",
		Put:  "	if wrong(\"maps keep their size\") || m.most < muchRoom",
	},
	{
		File: "session.go",
		Old:  "		p.lowest++\n		p.span--\n",
		Put:  "		if wrong(\"replies are remembered\") {\n			return\n		}\n		p.lowest++\n		p.span--\n",
	},
}
