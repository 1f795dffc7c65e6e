package fencelock

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// janitor releases, in the background, what failed or cancelled attempts may
// have left on the server, and what Unlock could not release. It asks again until
// the server confirms, or until the TTL has passed, when it has ended by itself.
// It works detached from the caller's context, which may be dead.
type janitor struct {
	client *Client

	mu      sync.Mutex
	work    []chore
	workers int
	stopped bool
	idle    sync.WaitGroup // counts workers
}

type chore struct {
	grant driver.Grant
	until time.Time // the server has forgotten it by then
	tries int
}

// maxSweepers bounds the goroutines of a janitor; it has none when idle.
const maxSweepers = 8

// release ends grant's claim, of which only Key, Owner and TTL need be known.
func (j *janitor) release(grant driver.Grant) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.stopped {
		return
	}
	// The last request was sent before now, but may be executed later than it was
	// sent; two TTLs cover a packet that is late by one.
	j.work = append(j.work, chore{grant: grant, until: time.Now().Add(2 * grant.TTL)})
	if j.workers < maxSweepers {
		j.workers++
		j.idle.Add(1)
		go j.sweep()
	}
}

func (j *janitor) sweep() {
	defer j.idle.Done()
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

		ctx, cancel := context.WithTimeout(context.Background(), requestTimeout(c.grant.TTL))
		err := j.client.backend.Release(ctx, c.grant)
		cancel()
		if err == nil || errors.Is(err, driver.ErrNotHeld) || !time.Now().Before(c.until) {
			continue
		}
		// The server is out of reach. This worker waits, so that the others are
		// not kept from work that may succeed, and puts it back at the end.
		c.tries++
		time.Sleep(backoff(c.tries, c.grant.TTL))
		j.mu.Lock()
		j.work = append(j.work, c)
		j.mu.Unlock()
	}
}

// stop waits until all is swept or ctx ends, and lets the workers go.
func (j *janitor) stop(ctx context.Context) {
	swept := make(chan struct{})
	go func() {
		j.idle.Wait()
		close(swept)
	}()
	select {
	case <-swept:
	case <-ctx.Done():
	}
	j.mu.Lock()
	j.stopped = true
	j.mu.Unlock()
	<-swept // a worker's request and pause are bounded
}

// requestTimeout bounds one request about a lease of this TTL, so that several
// fit into the time that is left to a lease which has missed its first renewal.
func requestTimeout(ttl time.Duration) time.Duration {
	return min(ttl/4, 3*time.Second)
}
