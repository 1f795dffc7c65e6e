package servers

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/goleak"

	"github.com/fencelock/fencelock/internal/busy"
)

// Main runs the tests of a package, removes every server that they have started,
// whatever became of the tests, and ends the process. A goroutine that is left
// over fails the run.
func Main(m interface{ Run() int }) { os.Exit(run(m)) }

// underMain is true while somebody is there to remove shared servers.
var underMain atomic.Bool

func run(m interface{ Run() int }) int {
	underMain.Store(true)
	defer underMain.Store(false)
	stop := removeOnSignal()
	slowness := busy.Watch()
	code := m.Run()
	if run := slowness(); code != 0 || run.Mean() > busy.TooSlow {
		fmt.Fprintf(os.Stderr, "servers: %v\n", run)
	}
	stop()
	if err := removeAll(); err != nil {
		fmt.Fprintf(os.Stderr, "servers: %v\n", err)
		code = max(code, 1)
	}
	if code == 0 {
		awaitResolver()
		if err := goleak.Find(reaperConnection); err != nil {
			fmt.Fprintf(os.Stderr, "servers: %v\n", err)
			code = 1
		}
	}
	return code
}

// reaperConnection is held open until the process ends: that is how the reaper
// knows.
var reaperConnection = goleak.IgnoreAnyFunction("github.com/testcontainers/testcontainers-go.(*Reaper).connect.func1")

// resolving is how long package net may go on to ask for an address after whoever wanted it has
// given up: until its servers have had their time. Members are told by names that only their own
// network knows, so clients ask for these now and then.
const resolving = 30 * time.Second

// awaitResolver waits for that. What does not end all the same is a leak.
func awaitResolver() {
	stacks := make([]byte, 4<<20)
	for began := time.Now(); time.Since(began) < resolving; time.Sleep(100 * time.Millisecond) {
		if !bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("net.(*Resolver).")) {
			return
		}
	}
}

// removeAll removes what still runs and lets go of the engine.
func removeAll() error {
	var errs []error
	for _, c := range live.all() {
		if err := c.remove(); err != nil {
			errs = append(errs, fmt.Errorf("remove %v: %w", c, err))
		}
	}
	if usedEngine.Load() {
		if docker, err := engine(); err == nil {
			_ = docker.Close()
		}
	}
	return errors.Join(errs...)
}

// removeOnSignal cleans up when the run is interrupted, until it is told to stop.
func removeOnSignal() (stop func()) {
	signals, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		select {
		case s := <-signals:
			signal.Stop(signals) // the next one ends us at once
			fmt.Fprintf(os.Stderr, "servers: %v: removing the servers\n", s)
			starting.Lock()
			_ = removeAll()
			os.Exit(1)
		case <-done:
		}
	})
	return func() {
		signal.Stop(signals)
		close(done)
		waiting.Wait()
	}
}
