package servers

import (
	"slices"
	"testing"
	"time"
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
