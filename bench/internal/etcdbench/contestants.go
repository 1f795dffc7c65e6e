package etcdbench

import (
	_ "github.com/fencelock/fencelock/backend/etcd" // etcd://

	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/ours"
)

// Names used by the budgets.
const (
	rawName     = "raw"
	guardedName = "raw+guard"
	mutexName   = "concurrency.Mutex"
)

// Peers are the names of those that ours must not be slower than.
func Peers() []string { return []string{rawName, mutexName} }

// Contestants lists ours first. Every client they open has a connection of its own to the server at addr.
func Contestants(addr string) []contest.Contestant {
	return []contest.Contestant{fenceLock(addr), raw(addr), guarded(addr), mutex(addr)}
}

func fenceLock(addr string) contest.Contestant {
	return ours.Contestant(addr, "is woken in order, by a watch on the one before", func(addr string) string {
		return "etcd://" + addr + "/" + ours.Namespace
	})
}
