package etcd_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestMemberThatIsCutOff: a member that has lost the others, and that clients still
// reach, refuses what it cannot do, and its clients go on to the next at once. Nobody
// waits for it to answer, whether alone or together with others.
func TestMemberThatIsCutOff(t *testing.T) {
	t.Parallel()
	c, ns := servers.StartCluster(t, servers.Etcd, 3), locktest.Namespace()
	const ttl = 15 * time.Second
	client := open(t, strings.Join(c.Addrs(), ","), ns, ttl)
	warm(t, client)
	member := c.Members()[0]
	if c.Leads(member) {
		member = c.Members()[1]
	}
	admin := raw(t, member.Addr())
	c.Cut(t, member)
	locktest.Eventually(t, locktest.Electing, "the member knows that it is alone", func() bool {
		s, err := admin.Status(t.Context(), member.Addr())
		return err == nil && s.Leader == 0
	})
	for _, callers := range []int{1, 64} {
		var calling sync.WaitGroup
		for n := range callers {
			calling.Go(func() {
				for range 10 {
					began := time.Now()
					l, err := client.Lock(t.Context(), fmt.Sprint(n))
					if err == nil {
						err = l.Unlock(t.Context())
					}
					if took := time.Since(began); err != nil || took > locktest.Slack {
						t.Errorf("one of %d callers: Lock and Unlock took %v, %v", callers, took.Round(time.Millisecond), err)
						return
					}
				}
			})
		}
		calling.Wait()
	}
	c.Heal(t, member)
	expectNothingLeft(t, raw(t, c.Addrs()...), ns)
}
