package sentinel

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver"
)

// round is a question to all Sentinels at the same time. Rounds come one after the other.
type round struct {
	number int
	began  time.Time
	done   chan struct{} // closed when the rest is there

	majority majority
	found    bool // majority is one
	answers  []answer
	total    int  // how many Sentinels there are
	more     bool // they have told of others, which were not asked
}

// patience is how long a round without a majority waits for more answers after the first: during a fail-over the Sentinels
// agree a moment later, and one that hangs, such as that on the machine of the old master, must not delay the next
// question to the others. It grows with each round that ends so, for Sentinels that are far away.
const (
	leastPatience   = 100 * time.Millisecond
	longestPatience = askTimeout
)

// The pause before a question that has not told what was asked for is asked again.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = time.Second
)

func nextPause(pause time.Duration) time.Duration { return min(2*pause, longestPause) }

// decided returns the word of a majority in a round after those that have a number already. It asks again, as long
// as ctx lasts, while there is no majority. Its error is raw: see node.Classify.
func (w *Watch) decided(ctx context.Context) (*word, error) {
	after := w.begun()
	var before *round
	for pause := firstPause; ; pause = nextPause(pause) {
		r, err := w.askedAfter(ctx, after)
		switch {
		case err != nil && before != nil && w.closing.Err() == nil:
			return nil, before.undecided()
		case err != nil:
			return nil, err
		case r.found:
			return w.word.Load(), nil // of this round or of a later one
		}
		before = r
		if !sleep(ctx, jitter(pause)) {
			return nil, r.undecided()
		}
		if now := w.word.Load(); now != nil && now.round > after { // others have asked meanwhile
			return now, nil
		}
	}
}

// begun is the number of the round that began last. A question that begins after the call has a higher one.
func (w *Watch) begun() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rounds
}

// askedAfter returns a round with a higher number. All who ask meanwhile share it.
func (w *Watch) askedAfter(ctx context.Context, number int) (*round, error) {
	for {
		r := w.join()
		if r == nil {
			return nil, node.ErrClosed
		}
		select {
		case <-r.done:
		case <-ctx.Done():
			return nil, errNotInTime
		}
		if r.number > number {
			return r, nil
		}
	}
}

// join returns the round that is under way, or begins one; nil after Close.
func (w *Watch) join() *round {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.current != nil {
		return w.current
	}
	if w.closed || w.closing.Err() != nil {
		return nil
	}
	w.rounds++
	r := &round{number: w.rounds, began: time.Now(), done: make(chan struct{})}
	var asked []*peer
	for _, p := range w.peers {
		if !p.asking && !p.until.After(r.began) {
			p.asking = true
			asked = append(asked, p)
		}
	}
	others := r.began.Sub(w.listed) > listEvery
	if others {
		w.listed = r.began
	}
	patience := w.patience
	w.current = r
	w.running.Go(func() {
		next := w.ask(r, asked, others, patience)
		w.conclude(r, next)
	})
	return r
}

// ask asks peers, and returns the patience of the next round. It ends as soon as a majority agrees. The first time it
// waits a little for the others, too: how many there are is not known yet, and it is of interest why some do not
// answer.
func (w *Watch) ask(r *round, peers []*peer, others bool, patience time.Duration) time.Duration {
	first := w.word.Load() == nil
	got := make(chan answer, len(peers))
	for _, p := range peers {
		w.running.Go(func() {
			a := p.ask(w.conf.Name, others)
			w.mu.Lock()
			p.note(a)
			w.mu.Unlock()
			got <- a
		})
	}
	var enough <-chan time.Time
	for range peers {
		var a answer
		select {
		case a = <-got:
			r.answers = append(r.answers, a)
		case <-enough:
			if first {
				r.answers = append(r.answers, silent(peers, r.answers, time.Since(r.began))...)
			}
			if r.found {
				return patience
			}
			return min(2*patience, longestPatience)
		}
		w.mu.Lock()
		least := w.least()
		w.mu.Unlock()
		r.majority, r.total, r.found = count(r.answers, least)
		switch {
		case r.found && !first:
			return min(max(2*time.Since(r.began), leastPatience), longestPatience)
		case enough == nil && a.err == nil && (r.found || !first || heard(r.answers) > r.total/2):
			enough = time.After(patience)
		}
	}
	return patience
}

// silent are answers for those peers that have none: an address where nobody is may be silent, too.
func silent(peers []*peer, answers []answer, waited time.Duration) (none []answer) {
	for _, p := range peers {
		if !slices.ContainsFunc(answers, func(a answer) bool { return a.from == p.addr }) {
			err := fmt.Errorf("%w: %w within %v", driver.ErrUnavailable, node.ErrNoAnswer, waited.Round(time.Millisecond))
			none = append(none, answer{from: p.addr, err: err})
		}
	}
	return none
}

// heard counts the Sentinels that have answered.
func heard(answers []answer) int {
	ids := make(map[string]struct{})
	for _, a := range answers {
		if a.err == nil {
			ids[a.id] = struct{}{}
		}
	}
	return len(ids)
}

// conclude makes the word of a round that of the watch, and tells where the master is if that is new. Whoever sees that
// a round is done finds its word, or a later one.
func (w *Watch) conclude(r *round, patience time.Duration) {
	r.total = max(r.total, 1)
	w.mu.Lock()
	was := w.word.Load()
	var moved []string
	if r.found {
		now := &word{majority: r.majority, round: r.number, asked: r.began, downAfter: downAfter(r.answers)}
		switch {
		case was == nil || was.master != now.master:
			moved = []string{now.master}
		case was.epoch < now.epoch: // another was the master meanwhile, and nobody has told
			moved = []string{"", now.master}
		default:
			now.epoch = was.epoch // those that have answered this time may not have heard of it
		}
		if was != nil {
			now.changes = was.changes
		}
		if moved != nil {
			now.changes++
		}
		w.word.Store(now)
	}
	w.mu.Unlock()
	for _, addr := range moved {
		w.conf.Moved(addr)
	}
	w.report(r, was)
	r.more = w.learn(r)
	w.mu.Lock()
	w.current, w.patience = nil, patience
	w.mu.Unlock()
	close(r.done)
}

// report tells operators of a new master, and that no majority names one.
func (w *Watch) report(r *round, was *word) {
	switch {
	case w.conf.Warn == nil, w.closing.Err() != nil, was == nil:
	case r.found && was.master != r.majority.master:
		w.conf.Warn("the Sentinels name another master", "now", r.majority.master, "before", was.master)
	case !r.found && time.Since(was.asked) > was.good():
		w.conf.Warn("no majority of the Sentinels names a master, so that no lock is granted", "err", r.undecided())
	}
}
