package main

import (
	"runtime"
	"runtime/debug"
	"time"

	"github.com/fencelock/fencelock/bench/internal/report"
)

// environment records what a figure depends on, the versions of the contestants included.
func environment(server string, started time.Time) report.Environment {
	e := report.Environment{
		Server:   server,
		Go:       runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Cores:    runtime.NumCPU(),
		Started:  started.UTC().Format("2006-01-02 15:04 UTC"),
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return e
	}
	for _, dep := range info.Deps {
		switch dep.Path {
		case "github.com/redis/go-redis/v9", "github.com/redis/rueidis", "github.com/bsm/redislock", "github.com/go-redsync/redsync/v4":
			e.Libraries = append(e.Libraries, dep.Path+" "+dep.Version)
		}
	}
	return e
}
