package etcd_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestRestartOfAllMembers: power fails everywhere at once, and comes back. That is
// an outage and nothing else: the holder holds, by the same token, those who wait
// keep their positions, and tokens go on to rise.
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
			c, ns := servers.StartCluster(t, test.kind, test.members), locktest.Namespace()
			addrs := strings.Join(c.Addrs(), ",")
			holder := open(t, addrs, ns, ttl)
			locktest.LosePower(t, c, holder, locktest.Lock(t, holder, "k"), ttl, func() *fencelock.Client { return open(t, addrs, ns, ttl) })
			expectNothingLeft(t, raw(t, c.Addrs()...), ns)
		})
	}
}
