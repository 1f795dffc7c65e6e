package redlock

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"sync/atomic"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/fleet"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/recipe"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/script"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/address"
)

// open makes the nodes, their fleet, and the recipe over them.
func open(ctx context.Context, targets []target, opts Options) (driver.Backend, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	var id [8]byte
	rand.Read(id[:])              // never fails
	c := configure(targets, opts) //nolint:contextcheck // they outlive Open
	c.Channel = c.Keys.Channel(hex.EncodeToString(id[:]))
	var b atomic.Pointer[recipe.Backend] // there when the fleet is
	c.Notify = func(node int, n wire.Notice) {
		if b := b.Load(); b != nil {
			b.Notify(node, n)
		}
	}
	f := fleet.New(c)
	if err := f.Wait(ctx); err != nil {
		node.CloseWithin(f.Close)
		return nil, err
	}
	made := recipe.New(recipe.Config{
		Nodes: f.Nodes(), Channel: c.Channel, Info: info(f, opts), Edition: f.Edition, Trip: f.Trip, Close: func() { node.CloseWithin(f.Close) },
	})
	b.Store(made)
	return made, nil
}

// configure makes the nodes.
func configure(targets []target, opts Options) fleet.Config {
	c := fleet.Config{Keys: script.NewNames(opts.Namespace), TTL: opts.MaxTTL, Logger: opts.Logger}
	for _, t := range targets {
		c.Names = append(c.Names, t.name)
		c.Servers = append(c.Servers, fleet.Wrap(node.New(context.Background(), node.Config{
			Options: t.conf, Contact: address.NewContact(opts.Logger.With("node", t.name)), DirectLimit: 1, Senders: 2, TellBoot: true,
		})))
		c.Watch = append(c.Watch, t.watch)
	}
	return c
}

// info says what the nodes of a fleet promise together.
func info(f *fleet.Fleet, opts Options) driver.Info {
	l := f.List()
	i := driver.Info{
		Name:      "redlock",
		Guarantee: driver.Advisory,
		Features:  driver.Push,
		MinTTL:    minTTL,
		MaxTTL:    l.Longest(),
		Tokenless: opts.Tokenless,
		Namespace: opts.Namespace,
	}
	switch {
	case l.Level != fleet.Fenced:
		i.Warnings = append(i.Warnings, "the list of the nodes is advisory for good, since when it was made a node could lose what it had answered ("+l.Why+"). For fenced order mend that, and begin a new list: with another namespace=")
	case opts.Tokenless:
		i.Warnings = append(i.Warnings, "leases have no fencing token (token=false), so that nothing stops a holder that is paused")
	default:
		i.Guarantee = driver.FencedOrder
	}
	for _, n := range f.Missing() {
		i.Warnings = append(i.Warnings, fmt.Sprintf("the node %s takes no part: %v", n.Node, n.Err))
	}
	return i
}
