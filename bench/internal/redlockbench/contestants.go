package redlockbench

import (
	"strings"

	"github.com/go-redsync/redsync/v4"

	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/redisbench"
)

// Names used by the budgets.
const (
	noTokenName   = "fencelock, no token"
	twoRoundsName = "raw, two rounds"
	oneRoundName  = "raw, one round"
	redSyncName   = "redsync"
)

// Contestants lists ours first. Every client they open has its own connections to each of the masters at addr.
func Contestants(addr string) []contest.Contestant {
	masters := strings.Split(addr, ",")
	return []contest.Contestant{
		fenceLock(masters),
		noToken(masters),
		twoRounds(masters),
		oneRound(masters),
		redisbench.RedSync(redSyncName, masters),
		redisbench.RedSync(redSyncName+", fail fast", masters, redsync.WithFailFast(true)),
	}
}
