package raftlocal

import "errors"

// void takes in that the cluster has lost all that it has granted: whoever holds is told at once,
// and whoever waits asks anew. What was asked and has no answer is not known here to be a claim;
// its session is gone, too, and the core asks again.
func (b *backend) void(text string) {
	why := errors.New(text)
	var lost []func(error)
	b.mu.Lock()
	for _, c := range b.numbers {
		if f := b.end(c); f != nil {
			lost = append(lost, f)
		}
	}
	b.mu.Unlock()
	for _, f := range lost {
		f(why)
	}
}
