package raftlocal

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/internal/busy"
)

// TestAliveIsKnownOrAbsent: only the leader knows of all who is alive. Nobody says of a member that is well that it
// is not.
func TestAliveIsKnownOrAbsent(t *testing.T) {
	t.Parallel()
	c := newCluster(t, Options{}, "a", "b", "c")
	takesOne(t, c.client(), "k", "o")
	leader := c.leader()
	var others []*node
	for _, n := range c.members {
		if n != leader {
			others = append(others, n)
		}
	}
	// says tells of each member what one of them says.
	says := func(n *node) map[string]string {
		s, err := c.admin().StatusOf(within(t, 10*time.Second), n.addr())
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]string{}
		for _, m := range s.Members {
			b, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			all[m.Name] = map[bool]string{true: "not known"}[m.Alive == nil]
			if m.Alive != nil {
				all[m.Name] = map[bool]string{true: "alive", false: "dead"}[*m.Alive]
			}
			if has := strings.Contains(string(b), `"alive"`); has != (m.Alive != nil) {
				t.Errorf("%s", b)
			}
		}
		return all
	}
	until := func(what string, n *node, want map[string]string) {
		t.Helper()
		var got map[string]string
		for end := time.Now().Add(10 * time.Second * busy.Times()); time.Now().Before(end); {
			got = says(n)
			right := len(got) == len(want)
			for name, is := range want {
				right = right && got[name] == is
			}
			if right {
				return
			}
			<-time.After(20 * time.Millisecond)
		}
		t.Errorf("%s: %s says %v, want %v", what, n.ID, got, want)
	}
	one, two := others[0], others[1]
	until("all are well", leader, map[string]string{leader.ID: "alive", one.ID: "alive", two.ID: "alive"})
	until("all are well", one, map[string]string{leader.ID: "alive", one.ID: "alive", two.ID: "not known"})
	two.kill()
	until("one is dead", leader, map[string]string{leader.ID: "alive", one.ID: "alive", two.ID: "dead"})
	until("one is dead", one, map[string]string{leader.ID: "alive", one.ID: "alive", two.ID: "not known"})

	// Builds from before said false where they did not know.
	var old MemberStatus
	if err := json.Unmarshal([]byte(`{"name":"a","voter":true,"alive":false,"connected":true}`), &old); err != nil || old.Alive == nil || *old.Alive {
		t.Errorf("%+v, %v", old, err)
	}
}
