package raftlocal

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// A client follows the leader: through a transfer of leadership, the leader's death and its
// return. A lock that is held stays held.
func TestClusterFailOver(t *testing.T) {
	c := newCluster(t, Options{}, "a", "b", "c")
	b := c.client()
	held := take(t, b, request("held", "owner", false))
	last := takesOne(t, b, "other", "0")
	for round, end := range []string{"stop", "kill", "kill"} {
		old := c.leader()
		began := time.Now()
		if end == "stop" {
			c.stop(old)
		} else {
			old.kill()
		}
		ended := time.Since(began)
		token := takesOne(t, b, "other", fmt.Sprint(round+1))
		t.Logf("%s: ended in %v, the next grant after %v", end, ended, time.Since(began))
		if token <= last {
			t.Errorf("token %d after %d", token, last)
		}
		last = token
		c.start(old.Options)
	}
	if again := take(t, b, request("held", "owner", false)); again.Token != held.Token {
		t.Errorf("token %d, want %d", again.Token, held.Token)
	}
}

// Each member is restarted while clients work. No lock is lost, and nobody gets one that is held.
func TestRollingRestart(t *testing.T) {
	c := newCluster(t, Options{}, "a", "b", "c")
	holder := c.client()
	held := take(t, holder, request("held", "owner", false))
	stop := make(chan struct{})
	var working sync.WaitGroup
	for i := range 4 {
		b := c.client()
		working.Go(func() {
			last := uint64(0)
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				token := takesOne(t, b, fmt.Sprint("work", i%2), fmt.Sprint(i, "-", n))
				if token <= last {
					t.Errorf("token %d after %d", token, last)
				}
				last = token
			}
		})
	}
	for _, name := range []string{"a", "b", "c"} {
		began := time.Now()
		c.stop(c.members[name])
		c.start(c.members[name].Options)
		t.Logf("%s restarted in %v", name, time.Since(began))
		c.caughtUp(3)
		renewed := holder.Renew(t.Context(), []driver.Grant{held})
		if renewed[0].Err != nil {
			t.Errorf("after the restart of %s: %v", name, renewed[0].Err)
		}
		held.Start = renewed[0].Start
	}
	close(stop)
	working.Wait()
	if err := holder.Release(t.Context(), held); err != nil {
		t.Error(err)
	}
}

// caughtUp waits until n members are alive and have all of the log.
func (c *cluster) caughtUp(n int) Status {
	c.t.Helper()
	ctx := within(c.t, 20*time.Second)
	for {
		s, err := c.admin().Status(ctx)
		good := 0
		for _, m := range s.Members {
			if m.Alive != nil && *m.Alive && m.Voter && m.Match+200 >= s.Log.Committed {
				good++
			}
		}
		if err == nil && s.Serving && good == n && len(s.Members) == n {
			return s
		}
		if ctx.Err() != nil {
			c.t.Fatalf("not caught up: %+v, %v", s, err)
		}
	}
}
