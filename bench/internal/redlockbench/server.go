package redlockbench

import (
	"context"
	"strings"

	"github.com/fencelock/fencelock/bench/internal/redisbench"
	"github.com/fencelock/fencelock/bench/internal/server"
)

// AddrVariable names the environment variable with the addresses of running masters, commas between.
const AddrVariable = "FENCELOCK_REDLOCK_ADDR"

// starter starts masters that keep nothing on disk, as redisbench does.
func starter(masters int) func(ctx context.Context, addr string) (*server.Server, error) {
	return func(ctx context.Context, addr string) (*server.Server, error) {
		if addr == "" {
			return redisbench.StartSeveral(ctx, masters)
		}
		return redisbench.UseSeveral(ctx, strings.Split(addr, ","))
	}
}
