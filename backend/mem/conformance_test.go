package mem_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/drivertest"
)

var info = driver.Info{
	Name: "mem", Guarantee: driver.Linearizable, Features: driver.Fair | driver.Push,
	MinTTL: time.Millisecond, MaxTTL: 24 * time.Hour, SameClock: true,
}

// lacks are the hooks that mean nothing inside one process.
var lacks = map[string]string{
	"Failover":    "the server is the process",
	"KillSession": "there are no sessions",
	"Away":        "the server is the process",
}

func TestConformance(t *testing.T) {
	space := mem.NewSpace()
	h := drivertest.Harness{
		New:          func(drivertest.T) driver.Backend { return mem.New(space) },
		Want:         info,
		TTL:          250 * time.Millisecond,
		DestroyGrant: destroyIn(space),
		Open:         mem.Open,
		URL:          "mem://conformance?namespace=tests",
		BadURLs: map[string]string{
			"mem://x/orders":                   "mem://name",
			"mem://x:1":                        "mem://name",
			"mem://user@x":                     "mem://name",
			"mem://x#y":                        "mem://name",
			"mem://x?namespace=a&namespace=b":  "namespace",
			"mem://x?namespace=a&ttl=1s&zzz=1": `"ttl"`,
			"mem://x?a;b":                      "query",
		},
		Lacks: lacks,
	}
	var links sync.Map
	h.New = func(drivertest.T) driver.Backend {
		l := drivertest.NewLink(mem.New(space), 0)
		links.Store(driver.Backend(l), l)
		return l
	}
	h.Partition = func(_ drivertest.T, b driver.Backend) func() {
		l, _ := links.Load(b)
		return l.(*drivertest.Link).Cut()
	}
	drivertest.Run(t, h)
}

// Without anything in between, and in virtual time: a timer that is late, or
// a call that waits for something that is not a channel or a timer, shows.
func TestConformanceInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		space := mem.NewSpace()
		h := drivertest.Harness{
			New:          func(drivertest.T) driver.Backend { return mem.New(space) },
			Want:         info,
			Slack:        time.Millisecond, // virtual time passes only when there is nothing to do
			DestroyGrant: destroyIn(space),
		}
		for _, rule := range drivertest.Rules() {
			switch rule.Name {
			case "OpenWorks", "OpenRefusesNonsense", "OpenHidesPasswords", "OpenSaysWhy", // named spaces outlive the bubble
				"UnavailableIsNotDefinitive", "CutHolderLapses", "CutWaiterIsSkipped", "SilenceIsNotWaiting", // there is no network to cut
				"DeadSessionIsNotGranted", "DeadSessionIsTold", "TokensRiseThroughFailover", "GrantsSurviveFailover":
				continue
			}
			for _, v := range drivertest.Check(t.Context(), h, rule.Name) {
				t.Error(v)
			}
		}
	})
}

// A client that a fault cuts off keeps the rules of one that a network cuts off, whether the server is silent
// or gone.
func TestConformanceWhenCutOff(t *testing.T) {
	for name, kind := range map[string]mem.FaultKind{"silent": mem.Silent, "down": mem.Down} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				space := mem.NewSpace()
				h := drivertest.Harness{
					New:  func(drivertest.T) driver.Backend { return mem.New(space) },
					Want: info,
					Partition: func(_ drivertest.T, b driver.Backend) func() {
						return space.Inject(mem.Fault{Kind: kind, Client: b})
					},
				}
				for _, v := range drivertest.Check(t.Context(), h,
					"UnavailableIsNotDefinitive", "CutHolderLapses", "CutWaiterIsSkipped", "SilenceIsNotWaiting") {
					t.Error(v)
				}
			})
		})
	}
}

func destroyIn(space *mem.Space) func(drivertest.T, string) {
	return func(t drivertest.T, key string) {
		if err := mem.New(space).Evict(t.Context(), key, ""); err != nil {
			t.Errorf("hook DestroyGrant: %v", err)
		}
	}
}
