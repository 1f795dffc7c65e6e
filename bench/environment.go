package main

import (
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/fencelock/fencelock/bench/internal/report"
)

// environment records what a figure depends on, the versions of the contestants included.
func environment(server string, libraries []string, started time.Time) report.Environment {
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
		if slices.Contains(libraries, dep.Path) {
			e.Libraries = append(e.Libraries, dep.Path+" "+dep.Version)
		}
	}
	return e
}
