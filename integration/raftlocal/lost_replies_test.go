package raftlocal_test

import (
	"sync"
	"testing"

	"github.com/fencelock/fencelock/driver/drivertest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestConformanceWithLostReplies runs the suite while each client loses the answer to its n-th
// command of each kind: it was carried out, and nobody is told. The client sends it again, and
// is told then; so nobody has to ask again.
func TestConformanceWithLostReplies(t *testing.T) {
	for n, name := range []string{"first", "second", "third"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			faults := map[string][]*proxy.Fault{}
			// When all rules have run, also those that do so side by side.
			t.Cleanup(func() {
				for kind, all := range faults {
					lost := 0
					for _, f := range all {
						select {
						case <-f.Fired():
							lost++
						default:
						}
					}
					t.Logf("%s: %d of %d clients lost an answer", kind, lost, len(all))
					if lost == 0 && kind != "evict" && kind != "evict one" {
						t.Errorf("nobody has lost an answer to %s: the test has tested nothing", kind)
					}
				}
			})
			drivertest.Run(t, harness(servers.StartCluster(t, servers.Raft, 1), func(l *link) {
				mu.Lock()
				defer mu.Unlock()
				l.each(func(p *proxy.Proxy) {
					for _, kind := range []string{"acquire", "renew", "release", "evict", "evict one", "inspect", "list"} {
						faults[kind] = append(faults[kind], p.LoseReplyTo(proxy.RaftOp(kind), n+1))
					}
				})
			}))
		})
	}
}
