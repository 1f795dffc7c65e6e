package machine

// grant gives a claim its token, above that of all grants before, of all keys.
func (m *Machine) grant(c *claim) {
	m.token = max(m.token+1, m.base+m.index)
	c.token = m.token
}

// RaiseTokens is for a state that a new cluster begins with, whose log begins anew: tokens
// will be above base. So will the numbers of claims and sessions: a cluster that was in this
// one's place may have given numbers, also after a backup was taken of it, and whoever has one must
// not be taken for somebody else.
func (m *Machine) RaiseTokens(base uint64) {
	m.base = max(m.base, base)
	m.number = max(m.number+1<<32, base)
}
