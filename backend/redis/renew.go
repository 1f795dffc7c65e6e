package redis

import (
	"context"

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
		b.store.renew(ctx, grants[from:to], out[from:to])
	}
	return out
}
