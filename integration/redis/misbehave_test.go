package redis_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// misbehave does random things to a server and the ways to it until it is enough,
// or ctx ends, and returns what has happened how often. The server runs in the end;
// what is wrong with the ways is for Heal.
func misbehave(ctx context.Context, t *testing.T, rnd *rand.Rand, s *servers.Server, links []*proxy.Proxy, enough func(map[string]int) bool) map[string]int {
	t.Helper()
	count := make(map[string]int)
	var armed []*proxy.Fault
	wait := func(d time.Duration) {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
	for n := 1; ctx.Err() == nil && !enough(count); n++ {
		p := links[rnd.IntN(len(links))]
		switch what := rnd.IntN(10); {
		case n%40 == 20: // for certain, and not too often
			s.Kill(t)
			wait(time.Duration(rnd.IntN(300)) * time.Millisecond)
			s.Restart(t)
			count["restarts"]++
		case what < 3:
			p.Reset()
			count["resets"]++
		case what < 6:
			armed = append(armed, p.LoseReply(1+rnd.IntN(5)))
		case what < 7:
			armed = append(armed, p.LoseRequest(scripts, 1+rnd.IntN(5)))
		case what < 8:
			armed = append(armed, p.SwallowPush(nil, 1))
		case what < 9:
			p.Delay(proxy.Both, time.Duration(rnd.IntN(10))*time.Millisecond)
		default:
			p.Drop([]proxy.Direction{proxy.ToServer, proxy.ToClient, proxy.Both}[rnd.IntN(3)])
			wait(time.Duration(200+rnd.IntN(1000)) * time.Millisecond)
			p.Heal()
			count["partitions"]++
		}
		wait(time.Duration(rnd.IntN(60)) * time.Millisecond)
		armed = slices.DeleteFunc(armed, func(f *proxy.Fault) bool {
			select {
			case <-f.Fired():
				count["lost messages"]++
				return true
			default:
				return false
			}
		})
	}
	return count
}
