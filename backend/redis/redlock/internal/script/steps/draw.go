package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/model"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
)

var (
	owners = []string{"a", "b-1", "Zz_9"}
	keys   = []string{"k", "with space:and:colons\n", "ключ", `*[k]?\`}
)

// draw is a random request. Most are about one key, of small numbers, and many of who has it, so that they meet.
func draw(r *rand.Rand, node *model.Node) wire.Request {
	key := keys[0]
	if r.IntN(4) == 0 {
		key = keys[r.IntN(len(keys))]
	}
	id := func() wire.ID {
		if c, held := node.Claims[key]; held && r.IntN(3) == 0 {
			return c.ID
		}
		return anyID(r)
	}
	lease := func() wire.Lease {
		return wire.Lease{Key: key, ID: id(), TTL: ttl(r), Token: token(r)}
	}
	channel, meta := fmt.Sprint("c", r.IntN(2)), []string{"", "host 1 pid 2", " \n100% "}[r.IntN(3)]
	switch n := r.IntN(100); {
	case n < 45:
		t := wire.Take{Key: key, ID: id(), TTL: ttl(r), Meta: meta, Channel: channel, Floor: token(r), Queue: r.IntN(2) == 0}
		t.Tokenless = r.IntN(6) == 0
		if r.IntN(3) == 0 {
			t.Place = uint64(r.IntN(5)) * 1e15
		}
		return t
	case n < 55:
		return wire.WriteBack{Key: key, ID: id(), Token: max(1, token(r))}
	case n < 67:
		var renew wire.Renew
		for _, i := range r.Perm(len(keys))[:1+r.IntN(len(keys))] {
			key = keys[i]
			renew.Leases = append(renew.Leases, lease())
		}
		return renew
	case n < 75:
		return wire.Repair{Lease: lease(), Meta: meta, Channel: channel}
	case n < 92:
		e := wire.End{Key: key, ID: id(), Evict: r.IntN(4) == 0}
		if r.IntN(4) == 0 {
			e.KeepOut = ttl(r)
		}
		if r.IntN(6) == 0 {
			e.ID.Try = 1<<64 - 1
		}
		if e.Failed = r.IntN(3) == 0; e.Failed && r.IntN(2) == 0 {
			e.Queue, e.Channel, e.TTL, e.Place = true, channel, ttl(r), uint64(r.IntN(3))*1e15
		}
		return e
	case n < 95:
		return wire.Holders{Keys: keys}
	case n < 97:
		prefix := []string{"", "k", "w", "with space:", "кл", "*", "[k]", "?"}[r.IntN(8)]
		return wire.Scan{Prefix: prefix, Count: 100}
	default:
		return wire.Look{Key: key}
	}
}

func anyID(r *rand.Rand) wire.ID {
	return wire.ID{Owner: owners[r.IntN(len(owners))], Try: []uint64{1, 1, 1, 2, 2, 2, 10, 123456789012345}[r.IntN(8)]}
}

func ttl(r *rand.Rand) time.Duration {
	switch r.IntN(3) {
	case 0:
		return time.Duration(1+r.IntN(30_000)) * time.Microsecond
	case 1:
		return time.Duration(10+r.IntN(50)) * time.Millisecond
	}
	return 20 * time.Second
}

// token is a small one, which most counters have passed, or one about as high as the clock, or nothing.
func token(r *rand.Rand) uint64 {
	switch r.IntN(6) {
	case 0:
		return uint64(time.Now().UnixMicro()) + uint64(r.IntN(10_000_000)) //nolint:gosec // after 1970
	case 1:
		return uint64(1 + r.IntN(1000))
	}
	return 0
}
