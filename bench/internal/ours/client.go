// Package ours lets fencelock compete, on whatever server.
package ours

import (
	"context"
	"log/slog"

	"github.com/fencelock/fencelock"

	"github.com/fencelock/fencelock/bench/internal/contest"
)

// Name is that of fencelock in reports and budgets.
const Name = "fencelock"

// Namespace keeps its locks apart from those of the others.
const Namespace = "bench"

// Options are what fencelock gets in every case.
func Options(o contest.Options) *fencelock.Options {
	return &fencelock.Options{TTL: o.TTL, Logger: slog.New(slog.DiscardHandler)}
}

// Client is fencelock's as a contest.Client.
type Client struct {
	*fencelock.Client
	// Connections that the client does not close by itself; nil: there are none.
	Connections interface{ Close() error }
}

// Lock waits for the lock.
func (c *Client) Lock(ctx context.Context, key string) (contest.Held, error) {
	lease, err := c.Client.Lock(ctx, key)
	if err != nil {
		return nil, err
	}
	return held{lease}, nil
}

// Waiters asks the server.
func (c *Client) Waiters(ctx context.Context, key string) (int, error) {
	s, err := c.Inspect(ctx, key)
	return s.Waiters, err
}

// Close ends the client, and then its connections.
func (c *Client) Close() error {
	err := c.Client.Close()
	if c.Connections != nil {
		_ = c.Connections.Close() // says nothing that matters after the client
	}
	return err
}

type held struct{ *fencelock.Lease }

func (h held) Release(ctx context.Context) error { return h.Unlock(ctx) }
