// Package redlockbench holds what the comparison needs for Redlock: masters that know nothing of each other, the
// contestants, and the budgets.
package redlockbench

import (
	"fmt"

	"github.com/fencelock/fencelock/bench/internal/scenario"
	"github.com/fencelock/fencelock/bench/internal/system"
	"github.com/fencelock/fencelock/bench/internal/wire"
)

var sizes = scenario.Sizes{
	Callers: []int{8, 64, 1024},
	Queue:   []int{2, 16, 64},
	Contend: []int{2, 16, 64},
}

// usual is the number of masters that a Redlock mostly has.
const usual = 3

// System is Redlock on three masters, or on more.
func System(masters int) system.System {
	name, title := "redlock", fmt.Sprintf("Redlock, %d masters", masters)
	if masters != usual {
		name = fmt.Sprintf("redlock%d", masters)
	}
	return system.System{
		Name:         name,
		AddrVariable: AddrVariable,
		Libraries:    []string{"github.com/redis/go-redis/v9", "github.com/go-redsync/redsync/v4"},
		Start:        starter(masters),
		Contestants:  Contestants,
		Sizes:        sizes,
		Leases:       20_000,
		Protocol:     wire.RESP,
		Blackhole:    true,
		Budgets:      Budgets,
		Plots:        plots(name, title),
	}
}
