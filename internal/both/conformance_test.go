package both_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/drivertest"
	"github.com/fencelock/fencelock/fencing"
	"github.com/fencelock/fencelock/internal/both"
)

var info = driver.Info{
	Name: "mem+mem", Guarantee: driver.Linearizable, Features: driver.Fair | driver.Push,
	MinTTL: time.Millisecond, MaxTTL: 24 * time.Hour, SameClock: true,
}

func anyTokens(_, _ fencing.Token) error { return nil }

// servers are two, and what cuts a client off from one of them.
type servers struct {
	old, new *mem.Space
	links    sync.Map // driver.Backend → its two links
}

func (s *servers) open(drivertest.T) driver.Backend {
	links := [2]*drivertest.Link{drivertest.NewLink(mem.New(s.old), 0), drivertest.NewLink(mem.New(s.new), 0)}
	p := both.New(links[0], links[1], 0, anyTokens)
	s.links.Store(driver.Backend(p), links)
	return p
}

func (s *servers) harness(cut ...int) drivertest.Harness {
	return drivertest.Harness{
		New:  s.open,
		Want: info,
		TTL:  250 * time.Millisecond,
		DestroyGrant: func(t drivertest.T, key string) {
			for _, space := range []*mem.Space{s.old, s.new} {
				if err := mem.New(space).Evict(t.Context(), key, ""); err != nil {
					t.Errorf("hook DestroyGrant: %v", err)
				}
			}
		},
		Partition: func(_ drivertest.T, b driver.Backend) func() {
			links, _ := s.links.Load(b)
			var heal []func()
			for _, i := range cut {
				heal = append(heal, links.([2]*drivertest.Link)[i].Cut())
			}
			return func() {
				for _, h := range heal {
					h()
				}
			}
		},
		Lacks: map[string]string{
			"Failover":    "the servers are the process",
			"KillSession": "there are no sessions",
			"Open":        "it has no URL",
			"Away":        "it has no URL",
		},
	}
}

// A pair keeps every rule of a backend.
func TestConformance(t *testing.T) {
	s := &servers{old: mem.NewSpace(), new: mem.NewSpace()}
	drivertest.Run(t, s.harness(0, 1))
}

// Whichever of its servers a client is cut off from. One that waits for the old one is still
// told so when it cannot reach the new one, so the other rules about silence do not apply.
func TestCutOffFromOne(t *testing.T) {
	for name, cut := range map[string]int{"the old": 0, "the new": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &servers{old: mem.NewSpace(), new: mem.NewSpace()}
			for _, v := range drivertest.Check(t.Context(), s.harness(cut), "CutHolderLapses", "CutWaiterIsSkipped") {
				t.Error(v)
			}
		})
	}
}

// In virtual time a timer that is late shows.
func TestConformanceInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &servers{old: mem.NewSpace(), new: mem.NewSpace()}
		h := s.harness()
		h.New = func(drivertest.T) driver.Backend { return both.New(mem.New(s.old), mem.New(s.new), 0, anyTokens) }
		h.TTL, h.Slack, h.Partition = 0, time.Millisecond, nil
		for _, rule := range drivertest.Rules() {
			switch rule.Name {
			case "OpenWorks", "OpenRefusesNonsense", "OpenHidesPasswords", "OpenSaysWhy",
				"UnavailableIsNotDefinitive", "CutHolderLapses", "CutWaiterIsSkipped", "SilenceIsNotWaiting",
				"DeadSessionIsNotGranted", "DeadSessionIsTold", "TokensRiseThroughFailover", "GrantsSurviveFailover":
				continue
			}
			for _, v := range drivertest.Check(t.Context(), h, rule.Name) {
				t.Error(v)
			}
		}
	})
}
