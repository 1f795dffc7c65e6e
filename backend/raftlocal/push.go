package raftlocal

import (
	"errors"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// onPush records what a push says of an attempt's claim. A claim that is not known has ended, or the reply
// that would name it is not there yet; that reply then is the one to an old copy of the request, and the
// claim is asked about at once: see [attempt.OnReply].
func (b *backend) onPush(p command.Claim) {
	b.mu.Lock()
	a := b.registry.numbers[p.Number]
	var lost func(error)
	switch {
	case a == nil:
	case p.Code == command.Granted:
		b.registry.hold(a, p.Token, a.start)
	case p.Code == command.Evicted, p.Code == command.Expired:
		lost = b.registry.forget(a)
	}
	b.mu.Unlock()
	if lost != nil {
		lost(why(p.Code))
	}
}

// onVoid is called when the cluster has lost all that it has granted. All holders are told at once,
// and waiters ask again. What was asked and has no answer is not known here to be a claim;
// its session is gone, too, and the core asks again.
func (b *backend) onVoid(text string) {
	why := errors.New(text)
	var lost []func(error)
	b.mu.Lock()
	for _, a := range b.registry.numbers {
		if f := b.registry.forget(a); f != nil {
			lost = append(lost, f)
		}
	}
	b.mu.Unlock()
	for _, f := range lost {
		f(why)
	}
}
