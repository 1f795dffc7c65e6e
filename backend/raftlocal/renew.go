package raftlocal

import (
	"context"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/client"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
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
	for i, a := range r.attempts {
		if r.keepAlive {
			a.renewing = false
		}
		switch {
		case o.Err != nil || len(o.Reply.Claims) != len(r.attempts):
			if r.keepAlive && a.claim == queued {
				a.urgent = true
				b.registry.plan(a.due())
			}
			continue
		case o.Reply.Claims[i].Number != a.number[0]:
			continue // it has ended since, and the attempt has another
		}
		switch s := o.Reply.Claims[i]; s.Code {
		case command.Granted:
			b.registry.hold(a, s.Token, o.Sent)
			// Renewed after that was sent, whatever was before: it lives for a TTL from there.
			if a.claim == holding && o.Sent.After(a.start) {
				a.start = o.Sent
				b.registry.ledger.Extend(a, a.start.Add(a.TTL))
			}
		case command.Waiting:
			if f := b.registry.queue(a, o.Sent, o.Resent); f != nil {
				confirmed = append(confirmed, f)
			}
		case command.NotHeld:
			if lost := b.registry.forget(a); lost != nil {
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
	var batch []*attempt
	var where []int
	send := func() {
		if len(numbers) == 0 {
			return
		}
		call, err := b.client.Start(command.Command{Op: command.Renew, Claims: numbers}, &renewal{attempts: batch})
		if err != nil {
			for _, i := range where {
				out[i].Err = err
			}
		} else {
			under = append(under, asked{call, where})
		}
		numbers, batch, where = nil, nil, nil
	}
	for i, g := range grants {
		a, number, err := b.renewable(ctx, g)
		if err != nil {
			out[i].Err = err
			continue
		}
		out[i].TTL = a.TTL
		numbers, batch, where = append(numbers, number), append(batch, a), append(where, i)
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

// renewable returns the attempt of a grant, and the number of its claim, if that may be there still.
func (b *backend) renewable(ctx context.Context, g driver.Grant) (a *attempt, number uint64, err error) {
	b.mu.Lock()
	a = b.registry.ledger.Of(g)
	known := a != nil && !a.swept
	switch {
	case b.closed:
		err = errClosed
	case !known:
	case a.Phase() == attempts.Gone || a.token != uint64(g.Token):
		err = driver.ErrNotHeld
	case a.Phase() == attempts.Ending:
		err = errEnding
	case a.claim != holding:
		err = errGone // it was never handed out
	default:
		number = a.number[0]
	}
	b.mu.Unlock()
	if !known && err == nil {
		err = b.disowned(ctx, g)
	}
	return a, number, err
}

// disowned says what there is to say of a grant that this client has not made, or has swept: only who has
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
