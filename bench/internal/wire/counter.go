// Package wire counts what clients really send and receive, below the client library, so that every contestant is
// counted by the same rule. A server's own counters would not do: that of Redis also counts the calls inside a script.
package wire

import "sync/atomic"

// Counter adds up the traffic of all connections made with its Dial. It is safe for concurrent use.
type Counter struct {
	protocol Protocol

	commands, pushes, sent, received atomic.Int64
}

// NewCounter makes a Counter for connections that speak p.
func NewCounter(p Protocol) *Counter { return &Counter{protocol: p} }

// Count is a reading of a Counter.
type Count struct {
	Commands int64 // requests written by clients
	Pushes   int64 // messages that the server sent unasked: pub/sub, invalidations
	Sent     int64 // bytes written by clients
	Received int64 // bytes read by clients
}

// Read returns the traffic so far.
func (c *Counter) Read() Count {
	return Count{
		Commands: c.commands.Load(),
		Pushes:   c.pushes.Load(),
		Sent:     c.sent.Load(),
		Received: c.received.Load(),
	}
}

// Minus returns the traffic between an earlier reading and this one.
func (c Count) Minus(earlier Count) Count {
	return Count{
		Commands: c.Commands - earlier.Commands,
		Pushes:   c.Pushes - earlier.Pushes,
		Sent:     c.Sent - earlier.Sent,
		Received: c.Received - earlier.Received,
	}
}

// Bytes is the traffic in both directions.
func (c Count) Bytes() int64 { return c.Sent + c.Received }
