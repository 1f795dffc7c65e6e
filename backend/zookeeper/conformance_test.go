package zookeeper

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/backend/zookeeper/internal/session"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/drivertest"
)

// TestConformance runs the published suite on a server that is not one, in virtual time
// and under the race detector. On real servers that is not there, since it finds fault
// with go-zookeeper when it connects again.
func TestConformance(t *testing.T) { conform(t, newFake()) }

// TestConformanceAtTheEnd: all rules hold where the numbers of each lock's node end.
func TestConformanceAtTheEnd(t *testing.T) { conform(t, atTheEnd(t, ends["the counter's end"])) }

func conform(t *testing.T, server *fake) {
	synctest.Test(t, func(t *testing.T) {
		h := drivertest.Harness{
			New: func(t drivertest.T) driver.Backend { return on(t, server.another()) },
			Want: driver.Info{
				Name: "zookeeper", Guarantee: driver.Linearizable, Features: driver.Fair | driver.Push,
				Namespace: "ns",
				MinTTL:    session.MinTTL, MaxTTL: 30 * time.Second,
			},
		}
		for _, rule := range drivertest.Rules() {
			switch rule.Name {
			case "OpenWorks", "OpenRefusesNonsense", "OpenHidesPasswords", "OpenSaysWhy", // by URL there is a network
				"UnavailableIsNotDefinitive", "SilenceIsNotWaiting", "CutHolderLapses", "CutWaiterIsSkipped", "TokensRiseBehindTheBack",
				"DeadSessionIsNotGranted", "DeadSessionIsTold", "TokensRiseThroughFailover", "GrantsSurviveFailover":
				continue
			}
			for _, v := range drivertest.Check(t.Context(), h, rule.Name) {
				t.Error(v)
			}
		}
	})
}
