package cluster_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

func TestTrialFailover(t *testing.T) {
	for _, fault := range []string{"kill", "pause", "promote", "force"} {
		t.Run(fault, func(t *testing.T) {
			e := startEnv(t)
			holder, waiter, busy := e.open(t, 15*time.Second), e.open(t, 15*time.Second), e.open(t, 15*time.Second)
			key := ""
			for i := 0; ; i++ { // one of the first master
				key = fmt.Sprint("k", i)
				if n := e.Master(t, int(e.admin.ClusterKeySlot(t.Context(), e.lockKey(key)).Val())); n.ID == e.Nodes[0].ID {
					break
				}
			}
			slot := int(e.admin.ClusterKeySlot(t.Context(), e.lockKey(key)).Val())
			held := locktest.Lock(t, holder, key)
			w := locktest.StartLock(t.Context(), waiter, key)
			locktest.AwaitWaiters(t, locktest.Soon, holder, key, 1)
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan struct{})
			var gap time.Duration
			go func() {
				defer close(done)
				last := time.Now()
				for ctx.Err() == nil {
					l, err := busy.Lock(ctx, key+"}x}") // another slot perhaps
					if err == nil {
						_ = l.Unlock(ctx)
						gap = max(gap, time.Since(last))
						last = time.Now()
					}
					time.Sleep(time.Millisecond)
				}
			}()
			time.Sleep(300 * time.Millisecond)
			began := time.Now()
			master := e.Master(t, slot)
			switch fault {
			case "kill":
				master.Kill(t)
			case "pause":
				master.Pause(t)
			case "promote":
				e.Promote(t, e.ReplicasOf(t, master)[0])
			case "force":
				e.Promote(t, e.ReplicasOf(t, master)[0], "FORCE")
			}
			next := e.MasterAfter(t, slot, master)
			t.Logf("new master %s after %v", next.Told(), time.Since(began))
			at := time.Now()
			for {
				_, err := holder.Inspect(t.Context(), key)
				if err == nil {
					break
				}
			}
			t.Logf("Inspect after %v", time.Since(at))
			t.Logf("held: %v", held.Err())
			locktest.Unlock(t, held)
			at = time.Now()
			l := locktest.ExpectLock(t, w, 20*time.Second)
			t.Logf("handed off after %v", time.Since(at))
			locktest.Unlock(t, l)
			time.Sleep(500 * time.Millisecond)
			stop()
			<-done
			t.Logf("longest gap %v", gap)
			if fault == "pause" {
				master.Unpause(t)
			}
		})
	}
}

var _ = servers.Redis
