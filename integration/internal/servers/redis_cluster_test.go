package servers

import (
	"slices"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// TestRedisCluster: two nodes serve their halves, name each other by Peer, and are gone at the test's end.
func TestRedisCluster(t *testing.T) {
	var c *RedisCluster
	t.Run("the test that uses it", func(t *testing.T) {
		began := time.Now()
		c = StartRedisCluster(t, Redis, 2)
		t.Logf("%v in %v", c, time.Since(began).Round(time.Millisecond))
		var answers []string
		for _, n := range c.Nodes { // foo is in slot 12182, bar in 5061
			for _, key := range []string{"foo", "bar"} {
				got, err := command(t, n.Server, "SET", key, "v")
				if err != nil {
					got = err.Error()
				}
				answers = append(answers, got)
			}
		}
		want := []string{"MOVED 12182 " + c.Nodes[1].Peer, "OK", "OK", "MOVED 5061 " + c.Nodes[0].Peer}
		if !slices.Equal(answers, want) {
			t.Errorf("they answer %q, want %q", answers, want)
		}
		if c.Nodes[0].ID == c.Nodes[1].ID || len(c.Nodes[0].ID) != 40 {
			t.Errorf("the names are %s and %s", c.Nodes[0].ID, c.Nodes[1].ID)
		}
	})
	if c == nil {
		return // it has said why
	}
	for _, n := range c.Nodes {
		if answers(n.Server) {
			t.Errorf("%v still answers", n)
		}
	}
}

// TestRedisClusterWithReplicas: a replica takes a killed master's place, another is promoted because it is asked to.
func TestRedisClusterWithReplicas(t *testing.T) {
	t.Run("with TLS and a password", func(t *testing.T) { testReplicas(t, Valkey, TLS(), Password("secret")) })
	if _, err := findProgram(Redis70); err == nil {
		t.Run("as processes", func(t *testing.T) {
			t.Setenv("FENCELOCK_SERVERS", "process")
			testReplicas(t, Redis70)
		})
	}
}

func testReplicas(t *testing.T, k Kind, opts ...Option) {
	const foo, bar = 12182, 5061 // the slots of these names
	began := time.Now()
	c := StartRedisCluster(t, k, 3, append(opts, Replicas(1), Args("--cluster-node-timeout", "1000"))...)
	t.Logf("%v in %v", c, time.Since(began).Round(time.Millisecond))
	conf := &goredis.ClusterOptions{Addrs: []string{c.Nodes[0].Told()}, Password: c.Nodes[0].password, MaxRedirects: 10}
	if c.Nodes[0].TLSAddr() != "" {
		conf.TLSConfig = c.Nodes[0].TLSConfig()
	}
	client := goredis.NewClusterClient(conf)
	defer client.Close()
	for _, key := range []string{"foo", "bar"} {
		if err := client.Set(t.Context(), key, "v", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	old, other := c.Master(t, foo), c.Master(t, bar)
	if old != &c.Nodes[2] || other != &c.Nodes[0] {
		t.Fatalf("the masters are %s and %s", old.Peer, other.Peer)
	}
	replicas := c.ReplicasOf(t, other)
	if len(replicas) != 1 || replicas[0] != &c.Nodes[3] {
		t.Fatalf("the replicas of the first are %v", replicas)
	}
	c.Promote(t, replicas[0])
	if got := c.Master(t, bar); got != replicas[0] {
		t.Errorf("the master is %s", got.Peer)
	}
	began = time.Now()
	old.Kill(t)
	next := c.MasterAfter(t, foo, old)
	t.Logf("another master after %v", time.Since(began).Round(time.Millisecond))
	old.Restart(t)
	c.AwaitWhole(t)
	if got := c.Master(t, foo); got != next || next != &c.Nodes[5] {
		t.Errorf("the master is %s, then %s", next.Peer, got.Peer)
	}
	for _, key := range []string{"foo", "bar"} {
		if got, err := client.Get(t.Context(), key).Result(); got != "v" {
			t.Errorf("%s: %q, %v", key, got, err)
		}
	}
}
