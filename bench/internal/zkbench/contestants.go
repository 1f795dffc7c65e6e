package zkbench

import (
	_ "github.com/fencelock/fencelock/backend/zookeeper" // zookeeper://

	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/ours"
)

// Names used by the budgets.
const (
	rawName  = "raw"
	lockName = "zk.Lock"
)

// Contestants lists ours first. Every client they open has a connection of its own to the server at addr.
func Contestants(addr string) []contest.Contestant {
	return []contest.Contestant{fenceLock(addr), raw(addr), zkLock(addr)}
}

func fenceLock(addr string) contest.Contestant {
	return ours.Contestant(addr, "is woken in order, by a watch on the one before", func(addr string) string {
		return "zookeeper://" + addr + "?namespace=" + ours.Namespace
	})
}
