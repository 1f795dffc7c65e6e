package machine

// mutant is a way to be wrong, and a test that must notice.
type mutant struct{ name, test string }

var mutants = []mutant{
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
	{"TTL begins anew at restore", "TestSnapshotHasAll"},
	{"TTL begins anew at restore", "TestSameLogSameState"},
	{"leases of 60 %", "TestExpiry"},
	{"leases of 60 %", "TestMachineIsTheModel"},
	{"leases of 60 %", "TestPromises"},
	{"the clock goes back", "TestClockNeverGoesBack"},
	{"the clock goes back", "TestMachineIsTheModel"},
	{"some tokens not raised", "TestMachineIsTheModel"},
	{"some tokens not raised", "TestPromises"},
	{"tokens begin anew with the log", "TestTokens"},
	{"tokens begin anew with the log", "TestPromises"},
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
type patch struct{ file, old, put string }

var patches = []patch{
	{
		"replies.go",
		"was.code != 0 {",
		"was.code != 0 && !wrong(\"commands run as often as they come\") {",
	},
	{
		"replies.go",
		"	if c.Seq < p.lowest {\n",
		"	if c.Seq < p.lowest && wrong(\"late copies run\") {\n		p.lowest, p.span = c.Seq, 0\n	}\n	if c.Seq < p.lowest {\n",
	},
	{
		"snapshot.go",
		"	count := uint64(0)\n",
		"	count := uint64(0)\n	if wrong(\"replies not in the snapshot\") {\n		return binary.AppendUvarint(dst, 0)\n	}\n",
	},
	{
		"restore.go",
		"	if p.lowest == 0 {\n",
		"	if wrong(\"lowest not in the snapshot\") {\n		p.lowest = 1\n	}\n	if p.lowest == 0 {\n",
	},
	{
		"restore.go",
		"	return r.m.clock + left\n",
		"	if wrong(\"TTL begins anew at restore\") {\n		return r.m.clock + int64(10e9)\n	}\n	return r.m.clock + left\n",
	},
	{
		"machine.go",
		"	if at := m.clock + d;",
		"	if wrong(\"leases of 60 %\") {\n		d = d / 10 * 6\n	}\n	if at := m.clock + d;",
	},
	{
		"machine.go",
		"	m.clock = max(m.clock, b.Stamp)\n",
		"	m.clock = max(m.clock, b.Stamp)\n	if wrong(\"the clock goes back\") {\n		m.clock = b.Stamp\n	}\n",
	},
	{
		"machine.go",
		"	m.expire()\n",
		"	if wrong(\"renewal brings back what has ended\") {\n		defer m.expire()\n	} else {\n		m.expire()\n	}\n",
	},
	{
		"grant.go",
		"	c.token = m.token\n",
		"	if wrong(\"some tokens not raised\") && m.index%7 == 0 {\n		m.token--\n	}\n	c.token = m.token\n",
	},
	{
		"grant.go",
		"	m.base = max(m.base, base)\n",
		"	m.base = max(m.base, base)\n	if wrong(\"tokens begin anew with the log\") {\n		m.base, m.token = 0, 0\n	}\n",
	},
	{
		"grant.go",
		"	m.number = max(m.number+1<<32, base)\n",
		"	if m.number = max(m.number+1<<32, base); wrong(\"a number is given again after restore\") {\n		m.number = 0\n	}\n",
	},
	{
		"restore.go",
		"	return r.m, nil\n",
		"	if wrong(\"last token not in the snapshot\") {\n		r.m.token = 0\n	}\n	return r.m, nil\n",
	},
	{
		"restore.go",
		"		r.m.link(q, c, deadline)\n",
		"		r.m.link(q, c, deadline)\n		if wrong(\"queues in another order after restore\") && q.length > 2 {\n			q.last, c.prev.next = c.prev, nil\n			c.prev, c.next = q.first, q.first.next\n			c.next.prev, q.first.next = c, c\n		}\n",
	},
	{
		"expire.go",
		"	for {\n		number, ok := m.overdue.due(m.clock)\n",
		"	for number, c := range m.claims {\n		if wrong(\"expiry in the order of a map\") && m.overdue[c.place].at <= m.clock {\n			m.push(m.claims[number], command.Expired)\n			m.remove(c)\n		}\n	}\n	for {\n		number, ok := m.overdue.due(m.clock)\n",
	},
	{
		"snapshot.go",
		"	for _, number := range slices.Sorted(maps.Keys(m.sessions)) {\n",
		"	for number := range m.sessions {\n		if wrong(\"snapshot in the order of a map\") {\n			dst = append(dst, byte(number))\n		}\n	}\n	for _, number := range slices.Sorted(maps.Keys(m.sessions)) {\n",
	},
	{
		"release.go",
		"		c = q.find(cmd.Owner)\n",
		"		c = q.find(cmd.Owner)\n		if c == nil && wrong(\"anyone may release\") {\n			c = q.first\n		}\n",
	},
	{
		"claim.go",
		"		m.overdue.move(next.place, m.after(int64(next.ttl)))\n		m.push(next, command.Granted)\n",
		"		if !wrong(\"the next keeps its deadline\") {\n			m.overdue.move(next.place, m.after(int64(next.ttl)))\n		}\n		if !wrong(\"the next is not told\") {\n			m.push(next, command.Granted)\n		}\n",
	},
	{
		"expire.go",
		"		c := m.claims[number]\n",
		"		c := m.claims[number]\n		if c.token == 0 && wrong(\"one that waits and ends blocks the queue\") {\n			m.push(c, command.Expired)\n			m.overdue.move(c.place, m.after(int64(c.ttl)))\n			continue\n		}\n",
	},
	{
		"acquire.go",
		"	if c.queue.first == c {\n",
		"	if c.queue.first == c || wrong(\"two are granted\") && m.index%40 == 0 {\n",
	},
	{
		"acquire.go",
		"			if c.token == 0 {\n",
		"			if c.token == 0 || wrong(\"asking again renews a grant\") {\n",
	},
	{
		"claim.go",
		"		delete(m.queues, q.key)\n",
		"		if delete(m.queues, q.key); wrong(\"keys are remembered\") {\n			m.queues[q.key] = &queue{}\n		}\n",
	},
	{
		"shrink.go",
		"	if m.most < muchRoom",
		"	if wrong(\"maps keep their size\") || m.most < muchRoom",
	},
	{
		"replies.go",
		"		p.lowest++\n		p.span--\n",
		"		if wrong(\"replies are remembered\") {\n			return\n		}\n		p.lowest++\n		p.span--\n",
	},
}
