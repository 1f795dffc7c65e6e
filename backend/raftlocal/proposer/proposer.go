// Package proposer proposes entries to a cluster of backend/raftlocal that change nothing. They
// take the way of every command: to the leader, into the log of a majority, through the
// state machine and back. So they are the least that a lock can cost, and what a benchmark
// compares it with.
package proposer

import (
	"context"
	"fmt"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/client"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/network"
)

// Proposer is a client with a connection of its own. Its methods are safe for concurrent use.
type Proposer struct{ client *client.Client }

// Open connects to the members of a cluster without TLS (insecure=true), at host:port.
func Open(ctx context.Context, cluster string, addrs []string) (*Proposer, error) {
	p := &Proposer{client.New(client.Config{Addrs: addrs, Dial: network.System().Dial, Cluster: cluster})}
	if err := p.client.Ready(ctx); err != nil {
		_ = p.Close() // says nothing that matters after err
		return nil, err
	}
	return p, nil
}

// Propose returns when an entry has been applied.
func (p *Proposer) Propose(ctx context.Context) error {
	o := p.client.Do(ctx, command.Command{Op: command.Nop}, nil)
	if o.Err == nil && o.Reply.Code != command.OK {
		o.Err = fmt.Errorf("a bare proposal was answered %q", o.Reply.Code)
	}
	return o.Err
}

// Close ends the connection.
func (p *Proposer) Close() error { return p.client.Close() }
