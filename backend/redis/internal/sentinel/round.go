package sentinel

import (
	"context"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
)

// round is a question to all Sentinels at the same time.
type round struct {
	began time.Time
	done  chan struct{} // closed when the rest is there

	majority majority
	found    bool // majority is one
	answers  []answer
	total    int // how many Sentinels there are
}

// patience is how long a round that has heard a majority which does not agree waits for the others: during a fail-over
// they agree a moment later, and a Sentinel may be away with the old master. It grows with each round that ends so,
// for Sentinels that are far away.
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

// decided returns the word of a majority that was asked at since or later. It asks again, as long as ctx lasts,
// while there is no majority. Its error is raw: see node.Classify.
func (w *Watch) decided(ctx context.Context, since time.Time) (*word, error) {
	var before *round
	for pause := firstPause; ; pause = nextPause(pause) {
		if now := w.word.Load(); now != nil && !now.asked.Before(since) {
			return now, nil
		}
		r, err := w.askedSince(ctx, since)
		switch {
		case err != nil && before != nil && w.closing.Err() == nil:
			return nil, before.undecided()
		case err != nil:
			return nil, err
		case !r.found:
			before, since = r, time.Now()
			if !sleep(ctx, jitter(pause)) {
				return nil, r.undecided()
			}
		}
	}
}

// askedSince returns a round that began at since or later. All who ask meanwhile share it.
func (w *Watch) askedSince(ctx context.Context, since time.Time) (*round, error) {
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
		if !r.began.Before(since) {
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
	r := &round{began: time.Now(), done: make(chan struct{})}
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

// ask asks peers, and returns the patience of the next round. It ends as soon as a majority agrees, but at first it waits for the others for a
// moment: how many there are is not known yet.
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
		select {
		case a := <-got:
			r.answers = append(r.answers, a)
		case <-enough:
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
		case enough == nil && (r.found || heard(r.answers) > r.total/2):
			enough = time.After(patience)
		}
	}
	return patience
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

// conclude makes the word of a round that of the watch, and tells where the master is if that is new. Rounds come
// one after the other, and so do their words: whoever sees that a round is done has its word, or a later one.
func (w *Watch) conclude(r *round, patience time.Duration) {
	r.total = max(r.total, 1)
	w.mu.Lock()
	was := w.word.Load()
	var moved []string
	if r.found {
		now := &word{majority: r.majority, asked: r.began, downAfter: downAfter(r.answers)}
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
	w.learn(r)
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
