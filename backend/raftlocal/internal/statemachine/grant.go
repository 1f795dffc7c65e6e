package statemachine

// grant gives a claim its token, above that of all grants before, of all keys.
func (m *Machine) grant(c *claim) {
	m.token = max(m.token+1, m.base+m.index)
	c.token = m.token
}

// RaiseTokens is for a state that a new cluster begins with, whose log begins anew: tokens
// will be above base. So will the numbers of claims and sessions: a cluster that was in this
// one's place may have given numbers, also after a backup was taken of it, and whoever has one must
// not be taken for somebody else.
//
// It adds nothing to a base that is high enough, so that a base which is the time keeps all numbers below
// the time, and the next such base is above them.
func (m *Machine) RaiseTokens(base uint64) {
	m.base = max(m.base, base)
	m.number = max(m.number, base)
}

// Highest is at least as high as each token and each number that was given, up to the entry of an index, the
// last that the state has. A state does not know its index.
func (m *Machine) Highest(index uint64) uint64 { return max(m.token, m.base+index, m.number) }
