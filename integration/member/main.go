// Command member runs a member of a cluster of the built-in Raft in a process of its own, as
// an application does beside its work. The tests kill it, pause it and cut it off.
//
//	member -url 'raft:///var/lib/locks?id=a&listen=…&peers=…'
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/raftlocal" // raft://
)

func main() {
	url := flag.String("url", "", "of the member")
	version := flag.Bool("version", false, "tell the version, and end")
	flag.Parse()
	if *version {
		fmt.Println("fencelock member version 0.1")
		return
	}
	if err := run(*url); err != nil {
		fmt.Fprintln(os.Stderr, "member:", err)
		os.Exit(1)
	}
}

// run serves until it is told to end. A member of a cluster may open long before the others
// are there, so it has all the time that they take.
func run(url string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c, err := fencelock.Open(ctx, url, nil)
	if err != nil {
		return err
	}
	<-ctx.Done()
	closed := make(chan error, 1)
	go func() { closed <- c.Close() }()
	select {
	case err := <-closed:
		return err
	case <-time.After(10 * time.Second):
		return errors.New("it could not be closed within 10 s")
	}
}
