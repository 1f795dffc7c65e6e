// Package redlock_test runs backend/redis/redlock against real nodes.
package redlock_test

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
	"github.com/fencelock/fencelock/internal/busy"

	_ "github.com/fencelock/fencelock/backend/redis/redlock"
)

func TestMain(m *testing.M) { servers.Main(m) }

// onlyVariable names the one server, as servers.Kind names it, that all nodes are to be of. Without
// it a list has one of each, in turn, so that each version is in each test at no cost. `make
// redlock-matrix` sets it.
const onlyVariable = "FENCELOCK_REDLOCK_MASTERS"

// kinds are those of n nodes.
func kinds(t locktest.T, n int) []servers.Kind {
	t.Helper()
	all := servers.AllRedises()
	if only := os.Getenv(onlyVariable); only != "" {
		at := slices.IndexFunc(all, func(k servers.Kind) bool { return k.String() == only })
		if at < 0 {
			t.Fatalf("%s is %q: it can be one of %v", onlyVariable, only, all)
		}
		all = all[at : at+1]
	}
	list := make([]servers.Kind, n)
	for i := range list {
		list[i] = all[i%len(all)]
	}
	return list
}

// durable makes nodes that lose nothing when they are killed: the list is fenced.
func durable() servers.Option { return servers.Args("--appendonly", "yes", "--appendfsync", "always") }

// longTTL is the TTL of those whose lease is not to end, nor to be renewed meanwhile: the longest
// that there is by default.
const longTTL = time.Minute

// shortTTL is a TTL that is waited for, and that a renewal keeps also on a machine that is busy.
var shortTTL = 2 * time.Second * busy.Times()
