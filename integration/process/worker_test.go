package process_test

import (
	"context"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"time"

	"github.com/fencelock/fencelock"
)

// playWorker is the role of a process that increments the counter of the resource
// under the lock, again and again, until its standard input ends.
func playWorker() error {
	seed, err := strconv.ParseUint(os.Getenv(seedVariable), 10, 64)
	if err != nil {
		return err
	}
	rnd := rand.New(rand.NewPCG(seed, 0))
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	c, err := openClient(ctx, nil)
	if err != nil {
		return err
	}
	store := newResourceClient(os.Getenv(resourceVariable))
	say(word{What: "ready"})
	for ctx.Err() == nil {
		increment(ctx, c, store, rnd)
	}
	err = c.Close()
	say(word{What: "bye", How: outcome(err)})
	return nil
}

// increment has one turn, and tells of it when the lock is granted, and at the end.
func increment(ctx context.Context, c *fencelock.Client, store *resourceClient, rnd *rand.Rand) {
	asked := now()
	l, err := c.Lock(ctx, key)
	if err != nil {
		if ctx.Err() == nil {
			say(word{What: "failed", How: outcome(err)})
		}
		return
	}
	turn := word{What: "granted", At: now(), Asked: asked, Token: l.Token(), Until: at(l.ValidUntil())}
	say(turn)
	value, err := store.read(l.Token())
	if err == nil {
		time.Sleep(time.Duration(5+rnd.IntN(20)) * time.Millisecond) // the work
		err = store.write(l.Token(), value+1)
	}
	turn.What, turn.Late, turn.Until = "done", outcome(err), now()
	if l.Err() != nil { // it ended before
		turn.Until = min(turn.Until, at(l.ValidUntil()))
	}
	say(turn) // before the next may have the lock: this process may be killed at any time
	turn.What, turn.How = "term", outcome(l.Unlock(ctx))
	say(turn)
	time.Sleep(time.Duration(rnd.IntN(10)) * time.Millisecond)
}
