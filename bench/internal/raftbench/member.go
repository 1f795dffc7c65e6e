package raftbench

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/fencelock/fencelock"
)

// RunMember is a member in a process of its own, until it is told to end.
func RunMember(url string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c, err := fencelock.Open(ctx, url, nil)
	if err != nil {
		return err
	}
	<-ctx.Done()
	return c.Close()
}
