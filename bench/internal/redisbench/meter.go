package redisbench

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/bench/internal/scenario"
)

// ServerCPU is the column of what the server computed.
const ServerCPU = "server CPU"

// meter asks over one connection, which it keeps: to accept another takes the server as long as some locks
// do.
func meter(addr string) *scenario.Meter {
	c := redis.NewClient(&redis.Options{Addr: addr, PoolSize: 1, ConnMaxIdleTime: -1})
	return &scenario.Meter{CPU: ServerCPU, Read: func(ctx context.Context) (scenario.Load, error) {
		info, err := c.Info(ctx, "cpu").Result()
		if err != nil {
			return scenario.Load{}, fmt.Errorf("asking the server what it computed: %w", err)
		}
		spent, err := CPU(info)
		return scenario.Load{CPU: spent}, err
	}}
}

// CPU is what the thread that executes commands has used, in its own code and in the kernel, of what INFO answers; of
// all threads, where the server does not tell them apart.
func CPU(info string) (time.Duration, error) {
	all := Fields(info)
	thread := "_main_thread"
	if all["used_cpu_user"+thread] == "" {
		thread = ""
	}
	sum := 0.0
	for _, part := range []string{"used_cpu_user", "used_cpu_sys"} {
		seconds, err := strconv.ParseFloat(all[part+thread], 64)
		if err != nil {
			return 0, fmt.Errorf("the server's %s: %w", part+thread, err)
		}
		sum += seconds
	}
	return time.Duration(sum * float64(time.Second)), nil
}
