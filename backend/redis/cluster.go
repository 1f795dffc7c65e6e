package redis

import (
	"context"
	"sync"

	"github.com/fencelock/fencelock/backend/redis/internal/cluster"
	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver"
)

// slotted is the store of a Cluster: each lock is at the master that has the slot of its name. There is no counter, so a
// script has one key, and what many callers ask goes together only on the way, in a pipeline: keys of several
// slots cannot be in one call.
type slotted struct {
	names   *names
	cluster *cluster.Cluster
	conf    clusterConf
	pauses  writePauses
	wait    int // Options.Wait; set before the first request
}

func (s *slotted) ask(ctx context.Context, p part) answer {
	args := make([]any, 0, 5)
	if p.script == acquireScript {
		s.pauses.look(p.ttl)
		args = append(args, s.names.client, &p.ttl, &p.mode, &p.identity, &p.attempt)
	} else {
		args = append(args, &p.ttl, &p.attempt)
	}
	var w *replicas
	var then *node.Call
	if s.wait > 0 && p.script == acquireScript {
		w = waitFor(s.wait, p.timeout)
		then = &w.call
	}
	reply, sent, err := s.cluster.EvalThen(ctx, p.timeout, then, p.script, p.lock, args...)
	if err != nil {
		return answer{nil, err, sent}
	}
	return w.judgeOne(&p, answerOf(&p, reply, 0, 1, sent))
}

// renew renews each grant by itself, side by side: the pipeline of each master sends them together.
func (s *slotted) renew(ctx context.Context, grants []driver.Grant, out []driver.Renewal) {
	timeout := driver.RequestTimeout(grants[0].TTL)
	for _, g := range grants {
		timeout = min(timeout, driver.RequestTimeout(g.TTL))
	}
	var renewing sync.WaitGroup
	for i := range grants {
		renewing.Go(func() {
			g := &grants[i]
			reply, sent, err := s.cluster.Eval(ctx, timeout, renewScript, s.names.lockKey(g.Key), &g.AttemptID, serverTTL(g.TTL))
			if err == nil {
				reply, err = only(reply)
			}
			switch {
			case err != nil:
				out[i].Err = node.Classify(ctx, err)
			case reply == int64(1):
				out[i] = driver.Renewal{Start: sent, TTL: g.TTL}
			case reply == int64(0):
				out[i].Err = driver.ErrNotHeld
			default:
				out[i].Err = unexpected("renew", reply)
			}
		})
	}
	renewing.Wait()
}

func (s *slotted) look(ctx context.Context, script *node.Script, lock string, args ...any) (any, error) {
	reply, _, err := s.cluster.Eval(ctx, adminTimeout, script, lock, args...)
	if err != nil {
		return nil, err
	}
	return only(reply)
}

// nodes are the masters in the order of their IDs.
func (s *slotted) nodes(ctx context.Context, fresh bool) ([]*node.Node, string, error) {
	if fresh {
		if err := s.cluster.Refresh(ctx); err != nil {
			return nil, "", err
		}
	}
	all, stamp := s.cluster.Nodes()
	return all, stamp, nil
}

func (s *slotted) holders(ctx context.Context, locks []any) ([]any, error) {
	answers, errs := make([]any, len(locks)), make([]error, len(locks))
	var looking sync.WaitGroup
	for i, lock := range locks {
		looking.Go(func() { answers[i], errs[i] = s.look(ctx, listScript, lock.(string)) })
	}
	looking.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return answers, nil
}

func (s *slotted) end(begin func()) { begin() }

func (s *slotted) close() { s.cluster.Close() }
