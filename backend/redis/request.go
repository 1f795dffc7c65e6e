package redis

import (
	"context"
	"errors"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/batch"
	"github.com/fencelock/fencelock/fencing"
)

// part is what one attempt asks about its lock: to acquire it, or to release it. Parts of many callers go to
// the server together, those of the same kind in one call of a script. Scripts get pointers to strings, since
// a string in an interface would be copied.
type part struct {
	kind
	lock    string // its name
	attempt string
	timeout time.Duration

	held held // to release: what the attempt holds; without a token if that is not known
}

// held is what a lock's key tells of its holder, besides the attempt and its client.
type held struct {
	token         fencing.Token
	ttl, identity string
}

// kind is what parts have in common that go in one call.
type kind struct {
	script   *node.Script
	ttl      string // of the lease; to release, of the tombstone, or empty
	mode     string // acquire: "try" or "wait"
	identity string // acquire: what driver.JoinIdentity has made
}

// answer is what the server says to a part.
type answer struct {
	reply any
	err   error     // raw: see node.Classify
	sent  time.Time // read before the request was
}

// How many parts a request has at the most, and how many locks a call of a script, since the server serves
// nobody else meanwhile: so many take it about half a millisecond. Several calls go in one request, so that a
// long round trip does not bound what many callers get done.
const (
	partsPerRequest = 512
	locksPerCall    = 64
)

// requests sends what attempts ask.
type requests struct {
	names   *names
	node    *node.Node
	sender  batch.Sender[part, answer]
	closing context.Context

	mu      sync.Mutex     // of the end, against running
	running sync.WaitGroup // requests for several callers
}

func newRequests(closing context.Context, n *names, server *node.Node) *requests {
	r := &requests{names: n, node: server, closing: closing}
	r.sender = batch.Sender[part, answer]{
		Alone:    func(ctx context.Context, p part) (answer, error) { return r.alone(ctx, &p), nil },
		Together: r.together,
		Refused:  func(error) bool { return false }, // each part has an answer of its own
		Go:       r.goRun,
		Parts:    partsPerRequest,
		Patience: func(p part) time.Duration { return p.timeout },
	}
	return r
}

// suit chooses how many requests are under way, by the round trip to the server. Where that is short, a request
// by itself costs the server, and this machine, several times as much as a part of one. So all that come while
// others wait for an answer go together, one request at a time, and two callers do not wait for each other.
// Where it is long, callers that wait for each other lose more: with a round trip of 1 ms, eight get 0.56 times
// as much done as with eight requests under way; with 0.1 ms, 1.0 to 2.7 times as much (0077). It is called
// before the first request.
func (r *requests) suit(trip time.Duration) {
	if trip < 300*time.Microsecond {
		r.sender.InFlight, r.sender.Gather = 2, true
	} else {
		r.sender.InFlight, r.sender.Gather = 8, false
	}
}

// goRun calls f on a goroutine for which Close waits, or itself once Close has begun: then it fails at once.
func (r *requests) goRun(f func()) {
	r.mu.Lock()
	ended := r.closing.Err() != nil
	if !ended {
		r.running.Go(f)
	}
	r.mu.Unlock()
	if ended {
		f()
	}
}

// end calls begin, which ends closing: from then on running does not grow.
func (r *requests) end(begin func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	begin()
}

// ask sends a part and returns its answer. If ctx ends first, the outcome is not known, except with
// batch.ErrNotTaken.
func (r *requests) ask(ctx context.Context, p part) answer {
	a := r.askOnce(ctx, p)
	if !isFormat(a.err) {
		return a
	}
	// The server has lost the counter with its data. It has done nothing, or half: what is asked again goes on from there.
	if err := r.makeReady(ctx); err != nil {
		return answer{err: err, sent: a.sent}
	}
	return r.askOnce(ctx, p)
}

func (r *requests) askOnce(ctx context.Context, p part) answer {
	sent := time.Now()
	a, err := r.sender.Do(ctx, "", p) // parts about one lock may go together: a script takes one after the other
	if err != nil {
		return answer{err: err, sent: sent}
	}
	return a
}

// alone sends a part by itself. A release is the server's own compare-and-delete first, where it has one. That
// does nothing if somebody waits, or if the record was changed: then the script decides.
func (r *requests) alone(ctx context.Context, p *part) answer {
	sent := time.Now()
	if words := r.deletion(r.node.Features().Delete, p); words != nil {
		reply, err := r.node.Once(ctx, p.timeout, words...)
		switch {
		case err == nil && reply == int64(1):
			return answer{reply, nil, sent}
		case node.IsUnknownCommand(err):
			r.node.ForgetDelete()
		case err != nil && !node.IsOtherType(err):
			return answer{nil, err, sent}
		}
	}
	reply, err := r.node.Eval(ctx, p.timeout, p.script, 2, append(r.arguments(make([]any, 0, 7), &p.kind, &p.lock), &p.attempt)...)
	if err != nil {
		return answer{nil, err, sent}
	}
	return answerOf(p, reply, 0, 1, sent)
}

// deletion is the server's own compare-and-delete for a part; nil if it has none, or the part is another. It
// compares what the lock's key has while nobody waits, and the lease was only extended by its first TTL.
func (r *requests) deletion(command string, p *part) []any {
	switch {
	case p.held.token == 0:
	case command == "DELEX":
		return []any{"delex", &p.lock, "ifeq", r.record(p)}
	case command == "DELIFEQ":
		return []any{"delifeq", &p.lock, r.record(p)}
	}
	return nil
}

func (r *requests) record(p *part) string {
	return "+ " + p.attempt + " " + r.names.channel + " " + p.held.token.String() + " " + p.held.ttl + " " + p.held.identity
}

// together sends parts in one request: one call for each kind.
func (r *requests) together(parts []part) ([]answer, error) {
	answers := make([]answer, len(parts))
	var calls []*node.Call
	done := make([]bool, len(parts))
	var same []int // the parts of one call
	sent := time.Now()
	for i := range parts {
		if done[i] {
			continue
		}
		same = nil
		for j := i; j < len(parts) && len(same) < locksPerCall; j++ {
			if !done[j] && parts[j].kind == parts[i].kind {
				done[j] = true
				same = append(same, j)
			}
		}
		calls = append(calls, r.call(parts, same, answers, sent))
	}
	r.node.EvalAll(calls)
	if len(parts) > 1 {
		r.againAlone(parts, answers)
	}
	return answers, nil
}

// againAlone sends parts by themselves that were refused with all of their call: the server looks at the names of
// all keys before it runs a script, and some may not be allowed.
func (r *requests) againAlone(parts []part, answers []answer) {
	var sending sync.WaitGroup
	for i := range parts {
		if err := answers[i].err; err != nil && goredis.HasErrorPrefix(err, "NOPERM ") {
			sending.Go(func() { answers[i] = r.alone(context.Background(), &parts[i]) })
		}
	}
	sending.Wait()
}

// call is the call for the parts of one kind.
func (r *requests) call(parts []part, same []int, answers []answer, sent time.Time) *node.Call {
	first := &parts[same[0]]
	c := &node.Call{Ctx: context.Background(), Script: first.script, Keys: len(same) + 1}
	locks := make([]*string, len(same))
	for i, j := range same {
		locks[i] = &parts[j].lock
		c.Timeout = max(c.Timeout, parts[j].timeout)
	}
	c.Args = r.arguments(make([]any, 0, 2*len(same)+5), &first.kind, locks...)
	for _, j := range same {
		c.Args = append(c.Args, &parts[j].attempt)
	}
	c.Done = func(reply any, err error) {
		for i, j := range same {
			if err != nil {
				answers[j] = answer{nil, err, sent}
			} else {
				answers[j] = answerOf(&parts[j], reply, i, len(same), sent)
			}
		}
	}
	return c
}

// arguments appends what a script gets before the attempts: the locks, the counter, and what is common.
func (r *requests) arguments(args []any, k *kind, locks ...*string) []any {
	for _, lock := range locks {
		args = append(args, lock)
	}
	args = append(args, r.names.counter)
	if k.script == acquireScript {
		return append(args, r.names.client, &k.ttl, &k.mode, &k.identity)
	}
	return append(args, &k.ttl)
}

// answerOf is the answer at a place of a script's reply, which has one for each of n parts.
func answerOf(p *part, reply any, i, n int, sent time.Time) answer {
	all, ok := reply.([]any)
	if !ok || len(all) != n {
		name := "acquire"
		if p.script == releaseScript {
			name = "release"
		}
		return answer{nil, unexpected(name, reply), sent}
	}
	if text, ok := all[i].(string); ok {
		return answer{nil, node.Replied(text), sent}
	}
	return answer{all[i], nil, sent}
}

// wasSent reports whether a part with this error may have been sent, and may be under way. With a refusal of
// makeReady it has been answered.
func wasSent(err error) bool {
	return !errors.Is(err, batch.ErrNotTaken) && !errors.Is(err, node.ErrNotSent) && !errors.Is(err, driver.ErrRefused)
}
