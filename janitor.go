package fencelock

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// janitor releases, in the background, what failed or cancelled attempts may have left on the
// server, and what Unlock could not release. It asks again until the server confirms, or until
// the TTL has passed and the claim has ended by itself. It does not ask again where the server
// has said that this would not help. It works detached from the caller's context, which may have
// ended.
type janitor struct {
	client *Client
	quit   chan struct{} // closed when stopped

	mu      sync.Mutex
	work    []cleanupTask
	workers int
	stopped bool
	busy    tally // the workers

	told   time.Time // when the log was last told of a refusal
	untold int       // refusals since then
}

// tellEvery is how often the log hears of releases that are refused for good: a client that lacks
// a permission lacks it for each lock.
const tellEvery = time.Minute

type cleanupTask struct {
	grant   driver.Grant
	refused bool      // nothing should be there, see cleanUp
	until   time.Time // the server has forgotten it by then
	tries   int
}

// maxSweepers bounds the goroutines of a janitor; it has none when idle.
const maxSweepers = 8

// release ends the claim of a grant, of which only Key, AttemptID and TTL need be known.
func (j *janitor) release(grant driver.Grant) { j.cleanUp(grant, false) }

// cleanUp is release for an attempt that has failed. If the server has refused all that was sent,
// the janitor asks once, and another refusal ends the task.
func (j *janitor) cleanUp(grant driver.Grant, refused bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.stopped {
		return
	}
	// The last request was sent before now, but may be executed later than it was
	// sent; two TTLs cover a packet that is late by one.
	j.work = append(j.work, cleanupTask{grant: grant, refused: refused, until: time.Now().Add(2 * grant.TTL)})
	if j.workers < maxSweepers {
		j.workers++
		j.busy.add()
		go j.sweep()
	}
}

func (j *janitor) sweep() {
	defer j.busy.done()
	for {
		j.mu.Lock()
		if len(j.work) == 0 || j.stopped {
			j.workers--
			j.mu.Unlock()
			return
		}
		c := j.work[0]
		j.work = j.work[1:]
		j.mu.Unlock()

		ctx, cancel := context.WithDeadline(context.Background(), j.client.requestEnds(c.grant.TTL))
		err := answer(ctx, j.client.backend.Release(ctx, c.grant))
		cancel()
		switch {
		case err == nil, errors.Is(err, driver.ErrNotHeld), !time.Now().Before(c.until),
			c.refused && errors.Is(err, driver.ErrRefused):
			continue
		case !errors.Is(err, driver.ErrUnavailable):
			j.tell(c.grant.Key, err)
			continue
		}
		// The server is out of reach. This worker waits, so that the others are
		// not kept from work that may succeed, and puts it back at the end.
		c.tries++
		t := time.NewTimer(backoff(c.tries, c.grant.TTL))
		select {
		case <-t.C:
		case <-j.quit:
			t.Stop()
		}
		j.mu.Lock()
		j.work = append(j.work, c)
		j.mu.Unlock()
	}
}

// tell logs that a release was refused for good, or failed in a way that no further
// request would mend.
func (j *janitor) tell(key string, err error) {
	j.mu.Lock()
	now, earlier := time.Now(), j.untold
	if !j.told.IsZero() && now.Sub(j.told) < tellEvery {
		j.untold++
		j.mu.Unlock()
		return
	}
	j.told, j.untold = now, 0
	j.mu.Unlock()
	j.client.log.Warn("fencelock: a lock cannot be released; it ends with its TTL", "key", key, "err", err, "others", earlier)
}

// stop waits until all is swept or enough has ended, and lets the workers go: by then
// their requests are over, and their pauses end. A backend that holds one of them up is
// waited for until ctx ends.
func (j *janitor) stop(ctx, enough context.Context) {
	j.busy.wait(enough)
	j.mu.Lock()
	j.stopped = true
	j.mu.Unlock()
	close(j.quit)
	j.busy.wait(ctx)
}
