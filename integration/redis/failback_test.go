package redis_test

import (
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestTokensRiseThroughFailback: a master is replaced by a replica that had not
// got its last grants, follows it, and so loses them too, and is made the master
// again. It was never restarted, and clients may have kept their connections.
func TestTokensRiseThroughFailback(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Redises() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			now := servers.Args("--repl-diskless-sync-delay", "0")
			first, second := servers.Start(t, kind, now), servers.Start(t, kind, now)
			a, b := raw(t, first.Addr()), raw(t, second.Addr())
			c := open(t, first.Addr(), locktest.Namespace(), time.Minute)
			var book locktest.Ledger
			grant := func() {
				t.Helper()
				l := locktest.Lock(t, c, "k")
				book.Enter(t, l)
				locktest.Unlock(t, l)
			}
			grant()
			follow(t, b, a)
			for range 20 { // grants of which the second knows nothing
				grant()
			}
			before := counterSum(t, a)
			follow(t, a, b)
			if after := counterSum(t, a); after >= before {
				t.Fatalf("the counter was %d and is %d: it has not gone back", before, after)
			}
			grant()
		})
	}
}

// follow makes a server a replica of another until it has its data, and then a
// master.
func follow(t *testing.T, replica, master *goredis.Client) {
	t.Helper()
	// Its own address, as others on its network see it.
	info := master.Do(t.Context(), "CLIENT", "INFO").String()
	addr := regexp.MustCompile(`laddr=(\S+)`).FindStringSubmatch(info)
	if addr == nil {
		t.Fatalf("CLIENT INFO: %s", info)
	}
	host, port, err := net.SplitHostPort(addr[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := replica.Do(t.Context(), "REPLICAOF", host, port).Err(); err != nil {
		t.Fatal(err)
	}
	locktest.Eventually(t, 4*locktest.Soon, "the replica has the data", func() bool {
		return strings.Contains(replica.Info(t.Context(), "replication").Val(), "master_link_status:up")
	})
	if err := replica.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err(); err != nil {
		t.Fatal(err)
	}
}

func counterSum(t *testing.T, c *goredis.Client) (sum uint64) {
	t.Helper()
	for _, n := range counters(t, c, "test-*") {
		sum += n
	}
	return sum
}
