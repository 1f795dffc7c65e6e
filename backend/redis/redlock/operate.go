package redlock

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/fleet"
	"github.com/fencelock/fencelock/driver"
)

// List is what the nodes of a URL are together, for an operator.
type List struct {
	ID        string // "" if no majority of the nodes has a list
	Version   int    // one more with each replacement
	Guarantee driver.Guarantee
	Reason    string        // why it is no more than Advisory
	MaxTTL    time.Duration // the longest TTL of a lease
	Nodes     []Node
}

// Node is what one of them is.
type Node struct {
	Address  string
	Identity string // "" if it has none yet
	Version  int    // of the list that it has; 0 if it has none
	Err      error  // why it takes no part; nil if it does
}

// Status looks at the nodes that a URL names, once, and changes nothing. The error is of what is wrong
// in the URL; of a node that cannot be reached its Err tells.
func Status(ctx context.Context, rawURL string) (List, error) {
	c, end, err := operate(rawURL) //nolint:contextcheck // end ends them
	if err != nil {
		return List{}, err
	}
	defer end()
	s := fleet.Look(ctx, c)
	var l List
	if s.List != nil {
		l = List{ID: s.List.ID, Version: s.List.Version, Guarantee: driver.Advisory, Reason: s.List.Why, MaxTTL: s.List.Longest()}
		if s.List.Level == fleet.Fenced {
			l.Guarantee = driver.FencedOrder
		}
	}
	for _, n := range s.Nodes {
		l.Nodes = append(l.Nodes, Node{Address: n.Node, Identity: n.Identity, Version: n.Version, Err: n.Err})
	}
	return l, nil
}

// Replace makes the nodes that a URL names the nodes of the list: those that are new, and empty, for
// those of the list that it does not name, or that have lost their data. All nodes that the URL names must
// answer, and a majority of the list must be among them. It takes as long as the longest TTL.
//
// Locks can be had, renewed and released meanwhile, on the nodes that stay. It may be run again, also
// after it was interrupted at any point: until it has ended without an error, the new nodes take no
// part. Clients go on with their URL as long as a majority of its nodes is in the list; give them the new
// one soon. progress, if it is not nil, is told what is being done, one line at a time.
func Replace(ctx context.Context, rawURL string, progress func(text string)) error {
	c, end, err := operate(rawURL) //nolint:contextcheck // end ends them
	if err != nil {
		return err
	}
	defer end()
	if progress == nil {
		progress = func(string) {}
	}
	return fleet.Replace(ctx, c, progress)
}

// operate makes the nodes of a URL, for an operator.
func operate(rawURL string) (c fleet.Config, end func(), err error) {
	u, err := parseRaw(rawURL)
	if err != nil {
		return c, nil, err
	}
	log := slog.New(slog.DiscardHandler)
	targets, opts, err := parseURL(u, log)
	if err != nil {
		return c, nil, err
	}
	opts.Logger = log
	if err := opts.check(); err != nil {
		return c, nil, err
	}
	c = configure(targets, opts)
	return c, func() {
		var closing sync.WaitGroup
		for _, s := range c.Servers {
			closing.Go(s.Close)
		}
		closing.Wait()
	}, nil
}
