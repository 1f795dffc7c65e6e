package raftlocal

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/client"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/fakemember"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/drivertest"
)

// on returns a backend on a member that is not one, and its network.
func on(m *fakemember.Member) (*backend, *fakemember.Link) {
	link := fakemember.NewLink(func(string) *fakemember.Member { return m })
	return newBackend(client.Config{Addrs: []string{"a"}, Dial: link.Dial}, "tests"), link
}

// TestConformance runs the published suite on a member that is not one, in virtual time: that
// a timer is late, or a call waits for what is neither a channel nor a timer, shows. Then
// again, with the answer to each command lost when it was sent for the first time.
func TestConformance(t *testing.T) {
	for name, lossy := range map[string]bool{"Calm": false, "AnswersLost": true} {
		for _, rule := range drivertest.Rules() {
			switch rule.Name {
			case "OpenWorks", "OpenRefusesNonsense", "OpenHidesPasswords", "OpenSaysWhy", // by URL there is a network
				"DeadSessionIsNotGranted", "DeadSessionIsTold", // claims do not depend on sessions
				"TokensRiseThroughFailover", "GrantsSurviveFailover": // see the tests of servers
				continue
			}
			t.Run(name+"/"+rule.Name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { conforms(t, rule.Name, lossy) })
			})
		}
	}
}

func conforms(t *testing.T, rule string, lossy bool) {
	member := fakemember.New()
	defer member.Close()
	if lossy {
		type sent struct{ session, seq uint64 }
		before := map[sent]bool{}
		member.Lose = func(c command.Command) bool {
			first := !before[sent{c.Session, c.Seq}]
			before[sent{c.Session, c.Seq}] = true
			return first
		}
	}
	var links sync.Map
	h := drivertest.Harness{
		New: func(drivertest.T) driver.Backend {
			b, link := on(member)
			links.Store(driver.Backend(b), link)
			return b
		},
		Want: driver.Info{
			Name: "raft", Guarantee: driver.Linearizable, Features: driver.Fair | driver.Push,
			MinTTL: 100 * time.Millisecond, MaxTTL: 24 * time.Hour,
		},
		Partition: func(_ drivertest.T, b driver.Backend) func() {
			link, _ := links.Load(b)
			return link.(*fakemember.Link).Cut()
		},
		DestroyGrant: func(t drivertest.T, key string) {
			b, _ := on(member)
			defer b.Close()
			if err := b.Evict(t.Context(), key, ""); err != nil {
				t.Errorf("hook DestroyGrant: %v", err)
			}
		},
	}
	for _, v := range drivertest.Check(t.Context(), h, rule) {
		t.Error(v)
	}
}
