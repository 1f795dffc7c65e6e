package etcd_test

import (
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestRenewalOfAnEarlierTerm: the answer to a keep-alive of a leader that is not the
// leader any more when it arrives is worth nothing, since it may have been paused,
// and have answered by what it knew. The renewal that counts was sent to the new
// one.
func TestRenewalOfAnEarlierTerm(t *testing.T) {
	t.Parallel()
	const ttl = 15 * time.Second
	c, ns := servers.StartCluster(t, servers.Etcd, 3), locktest.Namespace()
	leader := c.Leader(t)
	p := through(t, leader.Addr())
	holder := open(t, p.Addr(), ns, ttl)
	held := locktest.Lock(t, holder, "k")
	answer := p.HoldReplyTo(keepAlives, 1)
	locktest.Await(t, ttl, "a keep-alive is answered", answer.Fired())
	electAnother(t, c, leader)
	elected := time.Now()
	answer.Release()
	// Until then it is trusted by what was confirmed before.
	before := held.ValidUntil()
	locktest.Eventually(t, ttl, "the lease is renewed", func() bool { return held.ValidUntil().After(before) })
	if sent := held.ValidUntil().Add(ttl/10 - ttl); sent.Before(elected) {
		t.Errorf("a renewal counts that was sent %v before the election", elected.Sub(sent))
	}
	locktest.Unlock(t, held)
}

// electAnother has the leader hand over to another member.
func electAnother(t *testing.T, c *servers.Cluster, leader *servers.Server) {
	t.Helper()
	admin := raw(t, leader.Addr())
	members, err := admin.MemberList(t.Context())
	if err != nil {
		t.Fatalf("MemberList: %v", err)
	}
	for _, m := range members.Members {
		if m.ID != members.Header.MemberId {
			if _, err := admin.MoveLeader(t.Context(), m.ID); err != nil {
				t.Fatalf("MoveLeader: %v", err)
			}
			break
		}
	}
	c.LeaderAfter(t, leader)
}

var keepAlives = proxy.Method("/etcdserverpb.Lease/LeaseKeepAlive")
