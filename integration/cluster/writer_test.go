package cluster_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/servers"
)

// writer is a client that does nothing but write to one slot, over and over, and goes where the nodes send it at once. For as
// long as it has to wait, any client has to.
type writer struct {
	stop func()

	mu      sync.Mutex
	last    time.Time
	longest time.Duration
	refused map[string]int // what the nodes have said instead
}

func (w *world) startWriter(t *testing.T, tag string) *writer {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	x := &writer{last: time.Now(), refused: map[string]int{}}
	x.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(x.stop)
	at := w.Master(t, w.slot(t, tag))
	running.Go(func() {
		asking := false
		for ctx.Err() == nil {
			pipe := w.plain[at].Pipeline()
			if asking {
				pipe.Do(ctx, "ASKING")
			}
			set := pipe.Set(ctx, "writer{"+tag+"}", "now", time.Minute)
			_, _ = pipe.Exec(ctx)
			err := set.Err()
			asking = false
			if err == nil {
				x.wrote()
				rest(ctx, time.Millisecond)
				continue
			}
			if ctx.Err() != nil {
				return
			}
			words := strings.Fields(err.Error())
			x.count(words[0])
			if n := w.told(words); n != nil {
				at, asking = n, words[0] == "ASK"
			} else {
				rest(ctx, time.Millisecond)
			}
		}
	})
	return x
}

// told is the node that "MOVED 5 host:port" or "ASK 5 host:port" names, or nil.
func (w *world) told(words []string) *servers.RedisNode {
	if len(words) != 3 || words[0] != "MOVED" && words[0] != "ASK" {
		return nil
	}
	for i := range w.Nodes {
		if w.Nodes[i].Peer == words[2] {
			return &w.Nodes[i]
		}
	}
	return nil
}

func (x *writer) wrote() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.longest, x.last = max(x.longest, time.Since(x.last)), time.Now()
}

func (x *writer) count(what string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.refused[what]++
}

// reset returns the longest time without a write until now, and begins to measure again.
func (x *writer) reset() (longest time.Duration, refused map[string]int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	longest, refused = max(x.longest, time.Since(x.last)), x.refused
	x.longest, x.last, x.refused = 0, time.Now(), map[string]int{}
	return longest, refused
}
