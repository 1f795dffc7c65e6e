package raftlocal

import (
	"context"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/client"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/driver"
)

// renewal is one Renew command: about claims in the order of its numbers.
type renewal struct {
	attempts  []*attempt
	keepAlive bool
}

// OnReply records how the claims stand.
func (r *renewal) OnReply(o *client.Outcome) {
	b := r.attempts[0].backend
	var losses []func(error)
	var confirmed []func()
	b.mu.Lock()
	for i, c := range r.attempts {
		if r.keepAlive {
			c.renewing = false
		}
		switch {
		case o.Err != nil || len(o.Reply.Claims) != len(r.attempts):
			if r.keepAlive && c.phase == queued {
				c.urgent = true
				b.plan(c.due())
			}
			continue
		case o.Reply.Claims[i].Number != c.number[0]:
			continue // it has ended since, and the attempt has another
		}
		switch s := o.Reply.Claims[i]; s.Code {
		case command.Granted:
			b.hold(c, s.Token, o.Sent)
			// Renewed after that was sent, whatever was before: it lives for a TTL from there.
			if c.phase == held && o.Sent.After(c.start) {
				c.start = o.Sent
			}
		case command.Waiting:
			if f := b.queue(c, o.Sent, o.Resent); f != nil {
				confirmed = append(confirmed, f)
			}
		case command.NotHeld:
			if lost := b.end(c); lost != nil {
				losses = append(losses, lost)
			}
		}
	}
	b.mu.Unlock()
	for _, lost := range losses {
		lost(errLost)
	}
	for _, f := range confirmed {
		f()
	}
}

// asked is a Renew command that is under way.
type asked struct {
	call  *client.Call
	where []int // in the batch
}

// Renew extends grants: by as few commands as have room for them, all of which are sent before
// the first is waited for. One command is carried out at one time of the cluster's clock, and
// answers for each claim by itself.
func (b *backend) Renew(ctx context.Context, grants []driver.Grant) []driver.Renewal {
	out := make([]driver.Renewal, len(grants))
	var under []asked
	var numbers []uint64
	var attempts []*attempt
	var where []int
	send := func() {
		if len(numbers) == 0 {
			return
		}
		call, err := b.client.Start(command.Command{Op: command.Renew, Claims: numbers}, &renewal{attempts: attempts})
		if err != nil {
			for _, i := range where {
				out[i].Err = err
			}
		} else {
			under = append(under, asked{call, where})
		}
		numbers, attempts, where = nil, nil, nil
	}
	for i, g := range grants {
		c, number, err := b.renewable(ctx, g)
		if err != nil {
			out[i].Err = err
			continue
		}
		out[i].TTL = c.ttl
		numbers, attempts, where = append(numbers, number), append(attempts, c), append(where, i)
		if len(numbers) == command.MaxClaims {
			send()
		}
	}
	send()
	for _, a := range under {
		o := b.client.Wait(ctx, a.call)
		for j, i := range a.where {
			out[i] = renewed(o, j, out[i])
		}
	}
	return out
}

// renewable returns the claim of a grant, and its number, if it may be there still.
func (b *backend) renewable(ctx context.Context, g driver.Grant) (*attempt, uint64, error) {
	b.mu.Lock()
	c := b.find(g)
	closed := b.closed
	var number uint64
	var err error
	switch {
	case closed:
		err = errClosed
	case c == nil:
	case c.phase == gone || c.token != uint64(g.Token):
		err = driver.ErrNotHeld
	case c.ending:
		err = errEnding
	case c.phase != held:
		err = errGone // it was never handed out
	default:
		number = c.number[0]
	}
	b.mu.Unlock()
	if c == nil && err == nil {
		err = b.disowned(ctx, g)
	}
	return c, number, err
}

// disowned says what there is to say of a grant that this client has not made: only who has
// made it can renew it.
func (b *backend) disowned(ctx context.Context, g driver.Grant) error {
	s, err := b.Inspect(ctx, g.Key)
	switch {
	case err != nil:
		return err
	case s.Held() && s.Holders[0].AttemptID == g.AttemptID && (g.Token == 0 || s.Holders[0].Token == g.Token):
		return errForeign
	}
	return driver.ErrNotHeld
}

// renewed is the outcome for the claim at an index of a command.
func renewed(o client.Outcome, at int, r driver.Renewal) driver.Renewal {
	switch {
	case o.Err != nil:
		return driver.Renewal{Err: o.Err}
	case at >= len(o.Reply.Claims):
		return driver.Renewal{Err: refused(o.Reply.Code)}
	}
	switch s := o.Reply.Claims[at]; s.Code {
	case command.Granted:
		r.Start = o.Sent
		return r
	case command.NotHeld:
		return driver.Renewal{Err: driver.ErrNotHeld}
	default:
		return driver.Renewal{Err: refused(s.Code)}
	}
}
