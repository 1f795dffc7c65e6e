package recipe

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/vote"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// looks is how often Inspect looks where those nodes that answer do not agree on the token; looksApart is the time
// between. A node whose connection broke answers next time, and the next renewal tells each node the token.
const (
	looks      = 4
	looksApart = 100 * time.Millisecond
)

// Inspect tells who has a key on a majority of nodes.
func (b *Backend) Inspect(ctx context.Context, key string) (driver.Status, error) {
	v, err := b.look(ctx, key)
	for n := 1; n < looks && err == nil && v.differ && !b.info.Tokenless; n++ {
		select {
		case <-time.After(looksApart):
			v, err = b.look(ctx, key)
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-b.closing.Done():
			err = errClosed
		}
	}
	if err != nil {
		return driver.Status{}, err
	}
	s := driver.Status{Key: key, Waiters: v.waiters}
	if v.holder.ID.Owner != "" {
		s.Holders = []driver.Holder{b.holder(v.holder)}
	}
	return s, nil
}

// holder is a node's holder as the driver knows it.
func (b *Backend) holder(h wire.Holder) driver.Holder {
	out := driver.Holder{AttemptID: h.ID.Owner, Token: fencing.Token(h.Token), Left: h.Left}
	out.Identity, out.Meta = driver.SplitIdentity(h.Meta)
	if b.info.Tokenless {
		out.Token = 0
	}
	return out
}

// grace is how long a look waits, once it is decided, for the nodes that have not answered: one
// of them may have the waiters.
const grace = 50 * time.Millisecond

// view is what the nodes say of a key, together.
type view struct {
	holder  wire.Holder // zero if nobody has it on a majority
	certain bool        // whatever those nodes say that have not answered
	differ  bool        // no majority has the holder with the same token
	waiters int
	maybe   []wire.ID // all who may have it: one if a majority says so
}

// look asks all nodes who has a key. If a majority has answered, and those that have not could make one
// of a holder's nodes, it is taken for the holder: nobody else can get the key.
func (b *Backend) look(ctx context.Context, key string) (v view, err error) {
	if b.closing.Err() != nil {
		return v, errClosed
	}
	w := b.newCall()
	defer b.done(w)
	l := &look{b: b, bell: w.bell, pending: vote.All(len(b.nodes))}
	var ask wire.Request = wire.Look{Key: key}
	for i, n := range b.nodes {
		n.Send(ctx, ask, adminTimeout, func(reply any, err error) { l.told(i, reply, err) })
	}
	w.timer.Reset(adminTimeout + adminTimeout/4)
	patient := true
	for why := rung; ; why = b.wait(ctx, w) {
		l.mu.Lock()
		v = l.view()
		if l.pending != 0 && why == rung {
			l.mu.Unlock()
			if v.certain && patient {
				patient = false
				w.timer.Reset(grace)
			}
			continue
		}
		l.bell = nil
		switch {
		case v.certain, why != ctxEnded && why != closed && l.said.Len() >= b.quorum:
		case why == closed:
			err = errClosed
		default:
			err = l.noQuorum()
		}
		l.mu.Unlock()
		return v, err
	}
}

// look is what nodes say of a key.
type look struct {
	b *Backend

	mu      sync.Mutex
	bell    chan struct{} // nil when nobody waits any more
	pending vote.Set
	said    vote.Set
	replies [vote.Most]wire.LookReply
	errs    [vote.Most]error
}

func (l *look) told(node int, reply any, err error) {
	r, ok := reply.(wire.LookReply)
	if err == nil && !ok {
		err = unexpected(reply)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = l.pending.Without(node)
	if err != nil {
		l.errs[node] = err
	} else {
		l.said, l.replies[node] = l.said.With(node), r
	}
	ring(l.bell)
}

// view counts what has been said so far.
//
// The token is the one that a majority has: a node has in its record what its own counter was when
// the key was taken, until it learns the token of the grant, and a majority has that by the time
// of the grant. While none has, nothing is granted yet, or nodes have lost the key since. Of two
// as good the lower is told: a node that came late may be above the token for long, one that is below
// is about to get it.
func (l *look) view() (v view) {
	most, agree, silent := 0, 0, len(l.b.nodes)-l.said.Len()
	for i := range l.b.nodes {
		r := l.replies[i]
		v.waiters = max(v.waiters, r.Waiters)
		if !r.Held || l.isOld(r.Holder.ID) {
			continue
		}
		same, token := 0, 0
		for j := range l.b.nodes {
			if o := l.replies[j]; o.Held && o.Holder.ID == r.Holder.ID {
				same++
				if o.Holder.Token == r.Holder.Token {
					token++
				}
			}
		}
		if same+silent >= l.b.quorum && !slices.Contains(v.maybe, r.Holder.ID) {
			v.maybe = append(v.maybe, r.Holder.ID)
		}
		if same > most || same == most && (token > agree || token == agree && r.Holder.Token < v.holder.Token) {
			v.holder, most, agree = r.Holder, same, token
		}
	}
	switch {
	case most >= l.b.quorum:
		v.certain = agree >= l.b.quorum || agree+silent < l.b.quorum
		v.maybe = v.maybe[:0]
		v.maybe = append(v.maybe, v.holder.ID)
	case most+silent < l.b.quorum:
		v.holder, v.certain = wire.Holder{}, true
	}
	v.differ = v.holder.ID.Owner != "" && (most < l.b.quorum || agree < l.b.quorum)
	return v
}

// isOld reports whether a try is one that failed, of an owner that has tried again since: its End is on its way.
func (l *look) isOld(id wire.ID) bool {
	return slices.ContainsFunc(l.replies[:], func(r wire.LookReply) bool {
		return r.Held && r.Holder.ID.Owner == id.Owner && r.Holder.ID.Try > id.Try
	})
}

func (l *look) noQuorum() error {
	return l.b.noQuorum(func(i int) error {
		switch {
		case l.errs[i] != nil:
			return l.errs[i]
		case l.said.Has(i):
			return nil
		}
		return errNoAnswer
	})
}
