package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
)

// With Options.Wait, what acquires is followed by WAIT, in the same write and on the same connection: WAIT answers
// once so many replicas have all that the server has written until then, or its time is over. If they are too few,
// no grant of that request is handed out. The attempt asks again while its core wants it to, and finds its own
// claim; in the end the core releases it.
//
// The request that finds the claim of a grant by notification writes, too, and then waits: so a notification is
// only a hint to ask. Renewals and releases do not wait. A replica that has acknowledged may lose what it has, and
// one that has not may be promoted: so a lock is no safer than Advisory says, but lost less often.

// replicas is a WAIT for the replicas to have what the calls before it have written.
type replicas struct {
	call node.Call
	want int
	have int64
	err  error
}

// replicasFor is what follows the calls for parts; nil if nothing does.
func (s *server) replicasFor(parts []part) *replicas {
	var timeout time.Duration // the longest of those that acquire
	for i := range parts {
		if parts[i].script == acquireScript {
			timeout = max(timeout, parts[i].timeout)
		}
	}
	if s.wait == 0 || timeout == 0 {
		return nil
	}
	return waitFor(s.wait, timeout)
}

// waitFor is a WAIT for n replicas. It takes half of the time of a request, so that its answer comes in time.
func waitFor(n int, timeout time.Duration) *replicas {
	w := &replicas{want: n}
	w.call = node.Call{
		Ctx: context.Background(), Timeout: timeout, Follows: true,
		Command: []any{"wait", n, max((timeout / 2).Milliseconds(), 1)}, // 0 would be for ever
		Done: func(reply any, err error) {
			var ok bool
			if w.have, ok = reply.(int64); err == nil && !ok {
				err = unexpected("WAIT", reply)
			}
			w.err = err
		},
	}
	return w
}

// judge takes back grants that too few replicas have.
func (w *replicas) judge(parts []part, answers []answer) {
	if w == nil || w.err == nil && w.have >= int64(w.want) {
		return
	}
	for i := range answers {
		if token, ok := answers[i].reply.(int64); ok && token > 0 && parts[i].script == acquireScript {
			answers[i] = answer{err: w.fault(), sent: answers[i].sent}
		}
	}
}

func (w *replicas) judgeOne(p *part, a answer) answer {
	answers := []answer{a}
	w.judge([]part{*p}, answers)
	return answers[0]
}

// fault is the error of a grant. It is no error of the server: that would say that the server has done nothing.
func (w *replicas) fault() error {
	if w.err != nil {
		return fmt.Errorf("nobody knows how many replicas have it, and wait=%d: %v", w.want, w.err) //nolint:errorlint // see above
	}
	return fmt.Errorf("%d of %d replicas have it (wait=%d)", w.have, w.want, w.want)
}

// acquireAndWait sends a part that acquires by itself, and waits for the replicas.
func (s *server) acquireAndWait(ctx context.Context, p *part) answer {
	sent, w := time.Now(), waitFor(s.wait, p.timeout)
	args := append(s.arguments(make([]any, 0, 7), &p.kind, &p.lock), &p.attempt)
	reply, err := s.node.EvalThen(ctx, &w.call, &node.Call{Timeout: p.timeout, Script: p.script, Keys: 2, Args: args})
	if err != nil {
		return answer{nil, err, sent}
	}
	return w.judgeOne(p, answerOf(p, reply, 0, 1, sent))
}

// checkWait says whether the server has WAIT, and warns if it has too few replicas now.
func checkWait(ctx context.Context, n *node.Node, want int) (warning string, err error) {
	reply, err := n.Ask(ctx, "wait", 0, 1) // at once: how many are connected
	switch {
	case node.IsUnknownCommand(err):
		return "", fmt.Errorf("wait=%d: the server does not know the command WAIT, or does not allow it to this user (+wait): %w", want, err)
	case err != nil:
		return "", fmt.Errorf("wait=%d: asking the server for its replicas (WAIT): %w", want, err)
	}
	if have, ok := reply.(int64); !ok {
		return "", unexpected("WAIT", reply)
	} else if have < int64(want) {
		return fmt.Sprintf("wait=%d, and %d replicas are connected to the server now: while they are fewer, Lock fails", want, have), nil
	}
	return "", nil
}

// parseWait parses the parameter wait of a URL.
func parseWait(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil {
		return 0, errors.New("write how many replicas are to have a lock before Lock returns, such as 1")
	}
	return int(n), nil
}
