package raftlocal

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/fakemember"
	"github.com/fencelock/fencelock/driver"
)

// BenchmarkPairs is Acquire and Release of a free lock, by callers with a key each, on a member
// that is not one: what the client, the frames and the pushing around in memory cost.
func BenchmarkPairs(b *testing.B) {
	for _, callers := range []int{1, 64, 1024} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			member := fakemember.New()
			defer member.Close()
			backend, _ := on(member)
			defer backend.Close()
			pair := func(req driver.Request) {
				g, err := backend.Acquire(b.Context(), req)
				if err == nil {
					err = backend.Release(b.Context(), g)
				}
				if err != nil {
					b.Error(err)
				}
			}
			var left atomic.Int64
			left.Store(int64(b.N))
			var all sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			for i := range callers {
				all.Go(func() {
					req := driver.Request{Key: fmt.Sprint("key", i), AttemptID: fmt.Sprint("owner", i), Identity: "benchmark", TTL: 30 * time.Second}
					for left.Add(-1) >= 0 {
						pair(req)
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pairs/s")
		})
	}
}
