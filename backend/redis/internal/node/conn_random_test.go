package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Whatever times and ends of contexts the commands before it had, a command whose reply comes before its own gets
// that reply, and one whose reply does not is over when its own have come, or watchAfter after it began.
func TestCommandsOfAllTimes(t *testing.T) {
	for seed := range uint64(4) {
		withPipeline(t, &fakeServer{serves: serveLate}, func(t *testing.T, p *pipeline) {
			var callers sync.WaitGroup
			for caller := range uint64(6) {
				rnd := rand.New(rand.NewPCG(seed, caller))
				upTo := func(ms int) time.Duration { return time.Duration(rnd.IntN(ms)) * time.Millisecond }
				callers.Go(func() {
					for range 300 {
						time.Sleep(upTo(3) * time.Duration(rnd.IntN(8)))
						reply := upTo(40)
						if rnd.IntN(2) == 0 {
							reply = upTo(2)
						}
						// Never at the same time as a reply.
						timeout, cancelled := time.Millisecond+upTo(40)+300*time.Microsecond, time.Hour
						ctx, cancel := context.WithCancel(t.Context())
						if rnd.IntN(2) == 0 {
							cancelled = upTo(40) + 600*time.Microsecond
							time.AfterFunc(cancelled, cancel)
						}
						cmd := goredis.NewCmd(ctx, "echo", reply.Milliseconds())
						began := time.Now()
						err := p.do(ctx, timeout, cmd)
						took, most := time.Since(began), max(min(timeout, cancelled), watchAfter)
						what := fmt.Sprintf("seed %d: a reply after %v, timeout %v, cancelled %v: %v, %v after %v", seed, reply, timeout, cancelled, cmd.Val(), err, took)
						switch {
						case took > most, err != nil && reply < most, err == nil && cmd.Val() != strconv.Itoa(int(reply.Milliseconds())):
							t.Error(what)
						case err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, ErrNoAnswer):
							t.Error(what)
						}
						cancel()
					}
				})
			}
			callers.Wait()
			time.Sleep(time.Second) // until the server has answered what nobody waits for
		})
	}
}
