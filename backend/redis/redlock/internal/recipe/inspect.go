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
	maxLooks     = 4
	lookInterval = 100 * time.Millisecond
)

// Inspect tells who has a key on a majority of nodes.
func (b *Backend) Inspect(ctx context.Context, key string) (driver.Status, error) {
	v, err := b.look(ctx, key)
	for n := 1; n < maxLooks && err == nil && v.differ && !b.info.Tokenless; n++ {
		select {
		case <-time.After(lookInterval):
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
	if v.holder.ID.AttemptID != "" {
		s.Holders = []driver.Holder{b.holder(v.holder)}
	}
	return s, nil
}

// holder is a node's holder as the driver knows it.
func (b *Backend) holder(h wire.Holder) driver.Holder {
	out := driver.Holder{AttemptID: h.ID.AttemptID, Token: fencing.Token(h.Token), Left: h.Left}
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

// look asks all nodes who has a key, and who waits.
func (b *Backend) look(ctx context.Context, key string) (view, error) {
	if b.closing.Err() != nil {
		return view{}, errClosed
	}
	views, err := b.survey(ctx, wire.Look{Key: key}, 1, adminTimeout)
	if err != nil {
		return view{}, err
	}
	return views[0], nil
}

// survey asks all nodes a Look or a Holders, which is about so many keys, and makes a view of each key. If a majority has
// answered, and those that have not could make one of a holder's nodes, it is taken for the holder: nobody else can get
// the key.
func (b *Backend) survey(ctx context.Context, ask wire.Request, keys int, timeout time.Duration) ([]view, error) {
	w := b.calls.begin()
	defer b.calls.end(w)
	s := &survey{b: b, keys: keys, signal: w.signal, pending: vote.All(len(b.nodes))}
	for i, n := range b.nodes {
		n.Send(ctx, ask, timeout, func(reply any, err error) { s.onReply(i, reply, err) })
	}
	w.timer.Reset(timeout + timeout/4)
	patient := true
	for why := signaled; ; why = w.wait(ctx) {
		s.mu.Lock()
		views, certain := s.views()
		if s.pending != 0 && why == signaled {
			s.mu.Unlock()
			if certain && patient {
				patient = false
				w.timer.Reset(grace)
			}
			continue
		}
		s.signal = nil
		var err error
		switch {
		case certain, why != ctxEnded && why != closed && s.said.Len() >= b.quorum:
		case why == closed:
			err = errClosed
		default:
			err = s.noQuorum()
		}
		s.mu.Unlock()
		return views, err
	}
}

// survey is what nodes say of a few keys.
type survey struct {
	b    *Backend
	keys int

	mu      sync.Mutex
	signal  chan struct{} // nil when nobody waits any more
	pending vote.Set
	said    vote.Set
	replies [vote.MaxNodes][]wire.LookReply // by node and key
	errs    [vote.MaxNodes]error
}

func (s *survey) onReply(node int, reply any, err error) {
	var replies []wire.LookReply
	switch r := reply.(type) {
	case wire.LookReply:
		replies = []wire.LookReply{r}
	case wire.HoldersReply:
		for _, h := range r.Holders {
			replies = append(replies, wire.LookReply{Held: h.ID.AttemptID != "", Holder: h})
		}
	}
	if err == nil && len(replies) != s.keys {
		err = unexpected(reply)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = s.pending.Without(node)
	if err != nil {
		s.errs[node] = err
	} else {
		s.said, s.replies[node] = s.said.With(node), replies
	}
	raise(s.signal)
}

// views counts what has been said so far, and reports whether that is certain of all keys.
func (s *survey) views() (views []view, certain bool) {
	views, certain = make([]view, s.keys), true
	for k := range views {
		a := answers{nodes: len(s.b.nodes), quorum: s.b.quorum, said: s.said}
		for i, replies := range s.replies {
			if s.said.Has(i) {
				a.replies[i] = replies[k]
			}
		}
		views[k] = a.view()
		certain = certain && views[k].certain
	}
	return views, certain
}

// answers is what the nodes have said of one key.
type answers struct {
	nodes, quorum int
	said          vote.Set
	replies       [vote.MaxNodes]wire.LookReply
}

// view counts what has been said so far.
//
// The token is the one that a majority has: a node has in its record what its own counter was when
// the key was taken, until it learns the token of the grant, and a majority has that by the time
// of the grant. While none has, nothing is granted yet, or nodes have lost the key since. Of two
// as good the lower is told: a node that came late may be above the token for long, one that is below
// is about to get it.
func (a *answers) view() (v view) {
	most, agree, silent := 0, 0, a.nodes-a.said.Len()
	for i := range a.nodes {
		r := a.replies[i]
		v.waiters = max(v.waiters, r.Waiters)
		if !r.Held || a.isOld(r.Holder.ID) {
			continue
		}
		same, token := 0, 0
		for j := range a.nodes {
			if o := a.replies[j]; o.Held && o.Holder.ID == r.Holder.ID {
				same++
				if o.Holder.Token == r.Holder.Token {
					token++
				}
			}
		}
		if same+silent >= a.quorum && !slices.Contains(v.maybe, r.Holder.ID) {
			v.maybe = append(v.maybe, r.Holder.ID)
		}
		if same > most || same == most && (token > agree || token == agree && r.Holder.Token < v.holder.Token) {
			v.holder, most, agree = r.Holder, same, token
		}
	}
	switch {
	case most >= a.quorum:
		v.certain = agree >= a.quorum || agree+silent < a.quorum
		v.maybe = v.maybe[:0]
		v.maybe = append(v.maybe, v.holder.ID)
	case most+silent < a.quorum:
		v.holder, v.certain = wire.Holder{}, true
	}
	v.differ = v.holder.ID.AttemptID != "" && (most < a.quorum || agree < a.quorum)
	return v
}

// isOld reports whether a try is one that failed, of an attempt that has tried again since: its End is on its way.
func (a *answers) isOld(id wire.ID) bool {
	return slices.ContainsFunc(a.replies[:], func(r wire.LookReply) bool {
		return r.Held && r.Holder.ID.AttemptID == id.AttemptID && r.Holder.ID.Try > id.Try
	})
}

func (s *survey) noQuorum() error {
	return s.b.noQuorum(func(i int) error {
		switch {
		case s.errs[i] != nil:
			return s.errs[i]
		case s.said.Has(i):
			return nil
		}
		return errNoAnswer
	})
}
