package redis

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver"
)

// releases remembers what this client has released lately, where another server may take the place of the one that
// has confirmed it. A fail-over loses what replication has not carried over. One that an operator orders loses all
// that the old master does until a majority names the new one, about a second. On the new one such a lock would be
// held, by nobody, until its TTL ends. So it is released there again, which is harmless otherwise: an attempt that
// was released never holds anything any more.
//
// A nil releases remembers nothing.
type releases struct {
	mu   sync.Mutex
	ring []released // the oldest is at next, once there are keptReleases
	next int
}

type released struct {
	part part
	at   time.Time     // when it was confirmed
	ttl  time.Duration // after which the server has forgotten the claim in any case
}

const (
	// keptReleases bounds what a busy client remembers, and the work for a new master when many clients come to it.
	keptReleases = 1024

	// releaseWindow is how long before the last confirmed release others are released again: longer than it takes from
	// the promotion of a server until a majority names it.
	releaseWindow = 5 * time.Second
)

// add notes that the server has confirmed a release.
func (r *releases) add(p part, ttl time.Duration) {
	if r == nil {
		return
	}
	if ttl == 0 {
		ttl = time.Minute // of a claim of which this client knows nothing; most have less
	}
	p.ttl, p.held = "", held{}
	entry := released{p, time.Now(), ttl}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ring) < keptReleases {
		r.ring = append(r.ring, entry)
		return
	}
	r.ring[r.next] = entry
	r.next = (r.next + 1) % keptReleases
}

// doubtful are the releases that a server which takes the place of another may not have. They are in order.
func (r *releases) doubtful() (parts []part) {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	all := slices.Concat(r.ring[r.next:], r.ring[:r.next])
	for _, entry := range all {
		if last := all[len(all)-1]; last.at.Sub(entry.at) <= releaseWindow && now.Sub(entry.at) < entry.ttl {
			parts = append(parts, entry.part)
		}
	}
	return parts
}

// releaseAgain releases what a new server may not have heard of. It asks again for what has no answer, a few times.
func (b *backend) releaseAgain(parts []part) {
	pause := 10 * time.Millisecond
	for try := 1; len(parts) > 0 && try <= 5; try++ {
		var mu sync.Mutex
		var failed []part
		for some := range slices.Chunk(parts, keysPerScript) {
			var asking sync.WaitGroup
			for _, p := range some {
				asking.Go(func() {
					got := b.store.ask(b.closing, p)
					if errors.Is(node.Classify(b.closing, got.err), driver.ErrUnavailable) {
						mu.Lock()
						defer mu.Unlock()
						failed = append(failed, p)
					}
				})
			}
			asking.Wait()
		}
		parts = failed
		select {
		case <-time.After(pause):
			pause = min(4*pause, longestRecheckPause)
		case <-b.closing.Done():
			return
		}
	}
}
