package redis

import (
	"context"
	"fmt"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/batch"
)

// How many parts a request has at the most, and how many locks a call of a script, since the server serves
// nobody else meanwhile: so many take it about half a millisecond. Several calls go in one request, so that a
// long round trip does not bound what many callers get done.
const (
	partsPerRequest = 512
	locksPerCall    = 64
)

// server is the store of one server.
type server struct {
	names   *names
	node    *node.Node
	sender  batch.Sender[part, answer]
	waiting batch.Sender[part, answer] // for what acquires, with Options.Wait: what releases does not wait for replicas
	wait    int                        // Options.Wait; set before the first request
	closing context.Context

	mu      sync.Mutex     // of the end, against running
	running sync.WaitGroup // requests for several callers
}

// oneServer makes the store of the server to which conf leads.
func oneServer(conf goredis.Options) func(b *backend) store {
	return func(b *backend) store {
		return newServer(b.closing, &b.names, node.Config{Options: conf, Contact: b.contact})
	}
}

func newServer(closing context.Context, n *names, c node.Config) *server {
	c.DirectLimit, c.Senders = 8, 2
	s := &server{names: n, node: node.New(closing, c), closing: closing}
	for _, sender := range []*batch.Sender[part, answer]{&s.sender, &s.waiting} {
		sender.Alone = func(ctx context.Context, p part) (answer, error) { return s.alone(ctx, &p), nil }
		sender.Together = s.together
		sender.Refused = func(error) bool { return false } // each part has an answer of its own
		sender.Go = s.goRun
		sender.Parts = partsPerRequest
		sender.Patience = func(p part) time.Duration { return p.timeout }
	}
	s.waiting.InFlight = 8 // replicas take their time
	return s
}

func (s *server) setUp(ctx context.Context, b *backend, opts Options) error {
	// The first TryLock of a short TTL then need not wait for its connection.
	s.node.Warm()

	found, err := s.node.Look(ctx)
	if err != nil {
		return err
	}
	if err := found.Usable(); err != nil {
		return err
	}
	return s.ready(ctx, b, opts, found)
}

// ready is setUp for a server that is usable.
func (s *server) ready(ctx context.Context, b *backend, opts Options, found node.Server) error {
	if weak := found.NotDurable(); opts.Durable && weak != "" {
		return fmt.Errorf("%w: durable=true, but %s", driver.ErrUnsupported, weak)
	}
	b.info.Warnings = found.Warnings()
	if s.wait = opts.Wait; s.wait > 0 {
		warning, err := checkWait(ctx, s.node, s.wait)
		if err != nil {
			return err
		}
		if warning != "" {
			b.info.Warnings = append(b.info.Warnings, warning)
		}
	}
	if err := s.node.Prepare(ctx, allScripts, permissions(opts.Namespace, b.channel, "")); err != nil {
		return err
	}
	asked := time.Now()
	if err := s.makeReady(ctx); err != nil {
		return node.Classify(ctx, err)
	}
	s.suit(min(time.Since(asked), s.node.Trip()))
	heard := func(payload string) { b.notifications.onMessage(payload, s.node.Sure()) }
	return s.node.Subscribe(ctx, b.channel, heard, b.notifications.onResubscribe)
}

// suit chooses how many requests are under way, by the round trip to the server. Where that is short, a request
// by itself costs the server, and this machine, several times as much as a part of one. So all that come while
// others wait for an answer go together, one request at a time, and two callers do not wait for each other.
// Where it is long, callers that wait for each other lose more: with a round trip of 1 ms, eight get 0.56 times
// as much done as with eight requests under way; with 0.1 ms, 1.0 to 2.7 times as much (0077). It is called
// before the first request.
func (s *server) suit(trip time.Duration) {
	if trip < 300*time.Microsecond {
		s.sender.InFlight, s.sender.Gather = 2, true
	} else {
		s.sender.InFlight, s.sender.Gather = 8, false
	}
}

// goRun calls f on a goroutine for which Close waits, or itself once Close has begun: then it fails at once.
func (s *server) goRun(f func()) {
	s.mu.Lock()
	ended := s.closing.Err() != nil
	if !ended {
		s.running.Go(f)
	}
	s.mu.Unlock()
	if ended {
		f()
	}
}

// end calls begin, which ends closing: from then on running does not grow.
func (s *server) end(begin func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	begin()
}

func (s *server) ask(ctx context.Context, p part) answer {
	a := s.askOnce(ctx, p)
	if !isFormat(a.err) {
		return a
	}
	// The server has lost the counter with its data. It has done nothing, or half: what is asked again goes on from there.
	if err := s.makeReady(ctx); err != nil {
		return answer{err: err, sent: a.sent}
	}
	return s.askOnce(ctx, p)
}

func (s *server) askOnce(ctx context.Context, p part) answer {
	sent := time.Now()
	sender := &s.sender
	if s.wait > 0 && p.script == acquireScript {
		sender = &s.waiting
	}
	a, err := sender.Do(ctx, "", p) // parts about one lock may go together: a script takes one after the other
	if err != nil {
		return answer{err: err, sent: sent}
	}
	if a.err != nil {
		s.node.Suspect(a.err)
	}
	return a
}

// alone sends a part by itself. A release is the server's own compare-and-delete first, where it has one. That
// does nothing if somebody waits, or if the record was changed: then the script decides.
func (s *server) alone(ctx context.Context, p *part) answer {
	if s.wait > 0 && p.script == acquireScript {
		return s.acquireAndWait(ctx, p)
	}
	sent := time.Now()
	if words := s.deletion(s.node.Features().Delete, p); words != nil {
		reply, err := s.node.Once(ctx, p.timeout, words...)
		switch {
		case err == nil && reply == int64(1):
			return answer{reply, nil, sent}
		case node.IsUnknownCommand(err):
			s.node.ForgetDelete()
		case err != nil && !node.IsOtherType(err):
			return answer{nil, err, sent}
		}
	}
	reply, err := s.node.Eval(ctx, p.timeout, p.script, 2, append(s.arguments(make([]any, 0, 7), &p.kind, &p.lock), &p.attempt)...)
	if err != nil {
		return answer{nil, err, sent}
	}
	return answerOf(p, reply, 0, 1, sent)
}

// deletion is the server's own compare-and-delete for a part; nil if it has none, or the part is another. It
// compares what the lock's key has while nobody waits, and the lease was only extended by its first TTL.
func (s *server) deletion(command string, p *part) []any {
	switch {
	case p.held.token == 0:
	case command == "DELEX":
		return []any{"delex", &p.lock, "ifeq", s.record(p)}
	case command == "DELIFEQ":
		return []any{"delifeq", &p.lock, s.record(p)}
	}
	return nil
}

func (s *server) record(p *part) string {
	return "+ " + p.attempt + " " + s.names.channel + " " + p.held.token.String() + " " + p.held.ttl + " " + p.held.identity
}

// together sends parts in one request: one call for each kind.
func (s *server) together(parts []part) ([]answer, error) {
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
		calls = append(calls, s.call(parts, same, answers, sent))
	}
	replicas := s.replicasFor(parts)
	if replicas != nil {
		calls = append(calls, &replicas.call)
	}
	s.node.EvalAll(calls)
	replicas.judge(parts, answers)
	if len(parts) > 1 {
		s.againAlone(parts, answers)
	}
	return answers, nil
}

// againAlone sends parts by themselves that were refused with all of their call: the server looks at the names of
// all keys before it runs a script, and some may not be allowed.
func (s *server) againAlone(parts []part, answers []answer) {
	var sending sync.WaitGroup
	for i := range parts {
		if err := answers[i].err; err != nil && goredis.HasErrorPrefix(err, "NOPERM ") {
			sending.Go(func() { answers[i] = s.alone(context.Background(), &parts[i]) })
		}
	}
	sending.Wait()
}

// call is the call for the parts of one kind.
func (s *server) call(parts []part, same []int, answers []answer, sent time.Time) *node.Call {
	first := &parts[same[0]]
	c := &node.Call{Ctx: context.Background(), Script: first.script, Keys: len(same) + 1}
	locks := make([]*string, len(same))
	for i, j := range same {
		locks[i] = &parts[j].lock
		c.Timeout = max(c.Timeout, parts[j].timeout)
	}
	c.Args = s.arguments(make([]any, 0, 2*len(same)+5), &first.kind, locks...)
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
func (s *server) arguments(args []any, k *kind, locks ...*string) []any {
	for _, lock := range locks {
		args = append(args, lock)
	}
	args = append(args, s.names.counter)
	if k.script == acquireScript {
		return append(args, s.names.client, &k.ttl, &k.mode, &k.identity)
	}
	return append(args, &k.ttl)
}

func (s *server) renew(ctx context.Context, grants []driver.Grant, out []driver.Renewal) {
	args := make([]any, 0, 3*len(grants))
	timeout := driver.RequestTimeout(grants[0].TTL)
	for _, g := range grants {
		args = append(args, s.names.lockKey(g.Key))
		timeout = min(timeout, driver.RequestTimeout(g.TTL))
	}
	var ttl time.Duration // of the grant before
	for i := range grants {
		g := &grants[i]
		args = append(args, &g.AttemptID)
		if g.TTL == ttl {
			args = append(args, "")
		} else {
			args = append(args, serverTTL(g.TTL))
		}
		ttl = g.TTL
	}
	start := time.Now()
	reply, err := s.node.Eval(ctx, timeout, renewScript, len(grants), args...)
	answers, ok := reply.([]any)
	if err == nil && (!ok || len(answers) != len(grants)) {
		err = unexpected("renew", reply)
	}
	for i, g := range grants {
		switch {
		case err != nil:
			out[i].Err = node.Classify(ctx, err)
		case answers[i] == int64(1):
			out[i] = driver.Renewal{Start: start, TTL: g.TTL}
		case answers[i] == int64(0):
			out[i].Err = driver.ErrNotHeld
		default:
			why := asError("renew", answers[i])
			s.node.Suspect(why)
			out[i].Err = node.Classify(ctx, why)
		}
	}
}

func (s *server) look(ctx context.Context, script *node.Script, lock string, args ...any) (any, error) {
	ask := func() (any, error) {
		reply, err := s.node.Eval(ctx, adminTimeout, script, 2, append([]any{lock, s.names.counter}, args...)...)
		if err != nil {
			return nil, err
		}
		return only(reply)
	}
	reply, err := ask()
	if isFormat(err) {
		if err = s.makeReady(ctx); err == nil {
			reply, err = ask()
		}
	}
	return reply, err
}

func (s *server) nodes(context.Context, bool) ([]*node.Node, string, error) {
	return []*node.Node{s.node}, "", nil
}

func (s *server) holders(ctx context.Context, locks []any) ([]any, error) {
	reply, err := s.node.Eval(ctx, adminTimeout, listScript, len(locks), locks...)
	if err != nil {
		return nil, err
	}
	answers, ok := reply.([]any)
	if !ok || len(answers) != len(locks) {
		return nil, unexpected("list", reply)
	}
	return answers, nil
}

func (s *server) close() {
	s.node.Close()
	s.running.Wait()
}
