package vote

// Verdict is what has become of the try.
func (t *Try) Verdict() Verdict { return t.verdict }

// Failed reports whether the try is decided, and has not the lock.
func (t *Try) Failed() bool { return t.verdict > Granted }

// Token is the token of a try that is granted.
func (t *Try) Token() uint64 { return t.token }

// Writes returns the nodes that are to be sent a WriteBack of Token now: each once.
func (t *Try) Writes() Set {
	s := t.toWrite
	t.toWrite, t.writing = 0, t.writing|s
	return s
}

// Ends returns the nodes that are to be sent an End of a try that has failed now, each once: those that
// have the key, and those that must be told to keep the try out besides, since its Take may be on
// its way. More may come as long as Unknown is not empty.
func (t *Try) Ends() (plain, keepOut Set) {
	plain, keepOut = t.toEnd, t.toKeepOut
	t.toEnd, t.toKeepOut = 0, 0
	return plain, keepOut
}

// Pending are the nodes whose Take has no answer.
func (t *Try) Pending() Set { return t.pending }

// Unanswered are the nodes whose answers will not come: of those that may have taken the key, now or
// later, and of those that were not asked.
func (t *Try) Unanswered() (silent, unsent Set) { return t.silent, t.unsent }

// Answered are the nodes that have taken the key, those on which another has it, and those that
// refuse the try for good.
func (t *Try) Answered() (done, other, over Set) { return t.done, t.other, t.over }

// Confirmed are the nodes of W.
func (t *Try) Confirmed() Set { return t.w }

// Holder is one of the nodes that name the holder that most do, and how many they are: -1 and zero
// if none names one.
func (t *Try) Holder() (node, most int) {
	node = -1
	for i := range int(t.nodes) {
		if !t.other.Has(i) {
			continue
		}
		n := 0
		for j := range int(t.nodes) {
			if t.other.Has(j) && t.holder[j] == t.holder[i] {
				n++
			}
		}
		if n > most {
			node, most = i, n
		}
	}
	return node, most
}
