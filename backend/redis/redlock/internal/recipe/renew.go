package recipe

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/vote"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
)

// renewTogether is how many leases one script renews: enough to make the round trip cheap, few enough
// to keep the node free for others.
const renewTogether = 64

var errForeign = errors.New("redlock: the grant is not one of this client's")

// Renew extends grants on all nodes, and never takes a key. It returns when each is decided, and does
// not wait for a node whose answer changes nothing.
func (b *Backend) Renew(ctx context.Context, grants []driver.Grant) []driver.Renewal {
	out := make([]driver.Renewal, len(grants))
	if len(grants) == 0 {
		return out
	}
	if b.closing.Err() != nil {
		for i := range out {
			out[i].Err = errClosed
		}
		return out
	}
	w := b.calls.begin()
	defer b.calls.end(w)
	r := &renewal{
		b: b, attempts: make([]*attempt, len(grants)), leases: make([]wire.Lease, len(grants)), polls: make([]vote.Poll, len(grants)),
		signal: w.signal,
	}
	timeout := adminTimeout
	b.registry.mu.Lock()
	for i, g := range grants {
		r.polls[i] = vote.NewPoll(len(b.nodes))
		a := b.registry.Of(g)
		if a == nil || a.Phase() == attempts.Asking {
			r.leases[i] = wire.Lease{Key: g.Key, ID: wire.ID{AttemptID: g.AttemptID}} // which no node has
			continue
		}
		r.attempts[i] = a
		r.leases[i] = a.lease(g.TTL)
		timeout = min(timeout, driver.RequestTimeout(g.TTL))
	}
	b.registry.mu.Unlock()
	r.open = len(grants)
	r.before = b.edition()
	r.start = time.Now() // before the first is sent
	// Not the caller's context, which ends once a majority has answered: a node that is behind, since its connection is
	// being made again, say, would miss each renewal, and the lease would be on fewer nodes in the end.
	sending := b.closing //nolint:contextcheck // it outlives the call
	if ctx.Err() != nil {
		sending = ctx
	}
	for from := 0; from < len(grants); from += renewTogether {
		to := min(from+renewTogether, len(grants))
		var ask wire.Request = wire.Renew{Leases: r.leases[from:to:to]}
		for i, n := range b.nodes {
			n.Send(sending, ask, timeout, func(reply any, err error) { r.told(i, from, to, reply, err) })
		}
	}
	w.timer.Reset(timeout + timeout/4)
	r.decide(ctx, w, grants, out)
	b.registry.mu.Lock()
	defer b.registry.mu.Unlock()
	for i, a := range r.attempts {
		switch {
		case a == nil:
			out[i].Err = errForeign
		case errors.Is(out[i].Err, driver.ErrNotHeld):
			b.registry.Forget(a) // Renew says so, and nobody else needs to; Release finds it by the grant's Handle
		case out[i].Err == nil && !b.registry.Extend(a, r.start.Add(out[i].TTL)) && !a.ReleaseEndsGrant():
			out[i] = driver.Renewal{Err: driver.ErrNotHeld} // its holder was told of its loss meanwhile
		}
	}
	return out
}

// lease is what a renewal of the attempt asks for.
func (a *attempt) lease(ttl time.Duration) wire.Lease {
	a.mu.Lock()
	defer a.mu.Unlock()
	return wire.Lease{Key: a.Key, ID: a.id, TTL: onNode(ttl), Token: a.token}
}

// renewal is one Renew under way, and its repairs.
type renewal struct {
	b        *Backend
	attempts []*attempt // nil for those that are not this client's
	leases   []wire.Lease
	start    time.Time
	before   uint64 // the edition of the list, before the first request

	mu     sync.Mutex
	signal chan struct{} // nil when nobody waits any more
	open   int           // leases that are not decided
	polls  []vote.Poll
	errs   [vote.MaxNodes]error
}

// repair is one lease that a node lacks.
type repair struct {
	attempt *attempt
	node    int
}

// told records a node's answer about some of the leases. A lease that a majority has kept is repaired
// on the nodes that nobody has it on, those that have answered before and this one.
func (r *renewal) told(node, from, to int, reply any, err error) {
	answer, ok := reply.(wire.RenewReply)
	if err == nil && (!ok || len(answer.Outcomes) != to-from) {
		err = unexpected(reply)
	}
	var repairs []repair
	r.mu.Lock()
	if err != nil {
		r.errs[node] = err
	}
	for i := from; i < to; i++ {
		p := &r.polls[i]
		open := p.Answer() == vote.Undecided
		if err != nil {
			p.Silent(node)
		} else {
			p.Told(node, answer.Outcomes[i-from])
		}
		if open && p.Answer() != vote.Undecided {
			r.open--
		}
		missing := p.Repairs()
		for n := range r.b.nodes {
			if missing.Has(n) && r.attempts[i] != nil {
				repairs = append(repairs, repair{r.attempts[i], n})
			}
		}
	}
	if r.open == 0 {
		raise(r.signal)
	}
	r.mu.Unlock()
	for _, x := range repairs {
		r.repair(x.attempt, x.node)
	}
}

// decide waits until all leases are decided, or time is up, and fills in the outcomes.
//
// An answer that is there when the renewal is looked at counts, also if ctx has ended. One that
// comes later has extended the lease on its node, which harms nobody.
func (r *renewal) decide(ctx context.Context, w *call, grants []driver.Grant, out []driver.Renewal) {
	for why := signaled; ; why = w.wait(ctx) {
		r.mu.Lock()
		if r.open > 0 && why == signaled {
			r.mu.Unlock()
			continue
		}
		r.signal = nil
		moved := r.b.edition() != r.before // as in hold: ask once more
		for i := range out {
			switch a := r.polls[i].Answer(); {
			case a == vote.Yes && moved:
				out[i].Err = errListChanged
			case a == vote.Yes:
				out[i] = driver.Renewal{Start: r.start, TTL: grants[i].TTL}
			case a == vote.No:
				out[i].Err = driver.ErrNotHeld
			case why == closed:
				out[i].Err = errClosed
			default:
				out[i].Err = r.noQuorum(&r.polls[i])
			}
		}
		r.mu.Unlock()
		return
	}
}

func (r *renewal) noQuorum(p *vote.Poll) error {
	return r.b.noQuorum(func(i int) error {
		switch {
		case p.Yes().Has(i):
			return nil
		case p.No().Has(i):
			return errVanished
		case r.errs[i] != nil:
			return r.errs[i]
		}
		return errNoAnswer
	})
}

// minRepair is what must be left of a lease for a repair: less would be over before it helps.
const minRepair = 20 * time.Millisecond

// repair gives a node the key of a lease that a majority has kept, for what is left since the
// renewal that said so began. Without it, a lease that is renewed for long enough is held by a bare
// majority in the end, and lost when one more node restarts.
//
// The answer counts nowhere. The node says yes to the next renewal, as to any.
//
// Repair against Release: the attempt's mutex decides. If Release is first, nothing is sent. If it is
// second, it knows of the repair, and has the node keep the try out, for a repair may be a late
// packet like any.
func (r *renewal) repair(a *attempt, node int) {
	a.mu.Lock()
	left := time.Until(r.start.Add(onNode(a.TTL)))
	if !a.held || a.ending != nil || a.repairs.Has(node) || a.outstanding[node] > 0 || left < minRepair {
		a.mu.Unlock()
		return
	}
	a.repairs = a.repairs.With(node)
	a.outstanding[node]++
	a.reached = a.reached.With(node)
	ask := wire.Repair{
		Lease: wire.Lease{Key: a.Key, ID: a.id, TTL: left, Token: a.token},
		Meta:  a.meta, Channel: r.b.channel,
	}
	a.mu.Unlock()
	r.b.nodes[node].Send(r.b.closing, ask, min(left, driver.RequestTimeout(a.TTL)), func(_ any, err error) {
		a.mu.Lock()
		a.repairs = a.repairs.Without(node)
		a.mu.Unlock()
		a.settled(node, err)
	})
}
