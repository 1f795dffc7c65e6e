package etcd_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestRestartOfAllMembers: power fails everywhere at once, and comes back. That is
// an outage and nothing else: the holder holds, by the same token, those who wait
// keep their places, and tokens go on to rise.
func TestRestartOfAllMembers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		kind    servers.Kind
		members int
	}{
		"one member":           {servers.Etcd, 1},
		"one member, etcd 3.5": {servers.Etcd35, 1},
		"three members":        {servers.Etcd, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const ttl = 20 * time.Second
			c, ns := servers.StartCluster(t, test.kind, test.members), namespace()
			addrs := strings.Join(c.Addrs(), ",")
			var book ledger
			holder := open(t, addrs, ns, ttl)
			held := lock(t, holder, "k")
			book.enter(t, held)
			var waiting []<-chan attempt
			for i := range 3 {
				waiting = append(waiting, startLock(t.Context(), open(t, addrs, ns, ttl), "k"))
				awaitWaiters(t, holder, "k", i+1)
			}
			c.Kill(t)
			c.Restart(t)
			back := time.Now()
			awaitWaiters(t, holder, "k", len(waiting))
			if s, err := holder.Inspect(t.Context(), "k"); err != nil || s.Token != held.Token() {
				t.Errorf("Inspect = %+v, %v; want token %v", s, err, held.Token())
			}
			awaitRenewal(t, held, ttl, back)
			for _, w := range waiting {
				unlock(t, held)
				held = expectLock(t, w, electing)
				book.enter(t, held)
			}
			unlock(t, held)
			expectNothingLeft(t, raw(t, c.Addrs()...), ns)
		})
	}
}
