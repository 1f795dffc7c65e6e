package redis

import (
	"context"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver"
)

// keysPerScript is how many leases one script renews, or tells of: enough to make the round
// trip cheap, few enough to keep the server free for others (about 0.1 ms).
const keysPerScript = 64

// Renew extends grants, keysPerScript in one round trip. It never brings a lost grant back.
func (b *backend) Renew(ctx context.Context, grants []driver.Grant) []driver.Renewal {
	out := b.extend(ctx, grants)
	b.registry.renewed(grants, out) // their holders learn a loss from the answer
	return out
}

func (b *backend) extend(ctx context.Context, grants []driver.Grant) []driver.Renewal {
	out := make([]driver.Renewal, len(grants))
	for from := 0; from < len(grants); from += keysPerScript {
		to := min(from+keysPerScript, len(grants))
		b.renew(ctx, grants[from:to], out[from:to])
	}
	return out
}

func (b *backend) renew(ctx context.Context, grants []driver.Grant, out []driver.Renewal) {
	args := make([]any, 0, 3*len(grants))
	timeout := driver.RequestTimeout(grants[0].TTL)
	for _, g := range grants {
		args = append(args, b.lockKey(g.Key))
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
	reply, err := b.node.Eval(ctx, timeout, renewScript, len(grants), args...)
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
			out[i].Err = node.Classify(ctx, asError("renew", answers[i]))
		}
	}
}
