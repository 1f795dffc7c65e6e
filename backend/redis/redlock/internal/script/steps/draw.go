package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/model"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/script"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
)

var (
	attempts = []string{"a", "b-1", "Zz_9"}
	keys     = []string{"k", "with space:and:colons\n", "ключ", `*[k]?\`}
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
			t.Position = uint64(r.IntN(5)) * 1e15
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
			e.Queue, e.Channel, e.TTL, e.Position = true, channel, ttl(r), uint64(r.IntN(3))*1e15
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
	return wire.ID{AttemptID: attempts[r.IntN(len(attempts))], Try: []uint64{1, 1, 1, 2, 2, 2, 10, 123456789012345}[r.IntN(8)]}
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

// spoil changes what both keep behind the scripts' back, now and then: a key vanishes, a counter is
// lost or near its end, a clock was set back.
func (p *pair) spoil(ctx context.Context, r *rand.Rand) error {
	lock := p.ns + ":redlock:l:" + keys[0]
	shard := script.Shard(keys[0])
	switch r.IntN(60) {
	case 0, 1:
		p.model.Vanish(keys[0])
		return p.client.Del(ctx, lock).Err()
	case 2:
		delete(p.model.Counters, shard)
		return p.client.Del(ctx, p.names.Counter(shard)).Err()
	case 3:
		p.model.Counters[shard] = 1<<53 - 1 - r.Uint64N(3)
		return p.client.Set(ctx, p.names.Counter(shard), strconv.FormatUint(p.model.Counters[shard], 10), 0).Err()
	case 4, 5:
		c, ok := p.model.Claims[keys[0]]
		end := time.Now().Add(time.Hour).Truncate(time.Millisecond)
		if set, err := p.client.PExpireAt(ctx, lock, end).Result(); err != nil || !set || !ok {
			return err
		}
		c.Until = end.UnixMilli()
		p.model.Claims[keys[0]] = c
	}
	return nil
}

// fill makes the server full, or not.
func (p *pair) fill(ctx context.Context, full bool) error {
	if full == p.full {
		return nil
	}
	p.full = full
	limit := "0"
	if full {
		limit = "1"
	}
	return p.client.ConfigSet(ctx, "maxmemory", limit).Err()
}

// drop deletes the namespace.
func (s *server) drop(ctx context.Context) error {
	names, err := s.client.Keys(ctx, s.ns+":*").Result()
	if err != nil {
		return err
	}
	return s.client.Del(ctx, names...).Err()
}

// tally counts what has happened: a run in which little has proves nothing.
type tally struct {
	steps int
	by    map[string]int
}

func (t *tally) count(what string) {
	if t.by == nil {
		t.by = map[string]int{}
	}
	t.by[what]++
}

func (t *tally) add(reply any, told []model.Told) {
	t.steps++
	switch r := reply.(type) {
	case wire.TakeReply:
		t.count(fmt.Sprint("take ", words[r.Outcome]))
		if r.Position != 0 {
			t.count("waiting")
		}
	case wire.Reply:
		t.count(fmt.Sprint("reply ", words[r.Outcome]))
	case wire.RenewReply:
		for _, o := range r.Outcomes {
			t.count(fmt.Sprint("renew ", words[o]))
		}
	case wire.ScanReply:
		t.count(fmt.Sprint("scan ", min(len(r.Keys), 1)))
	case wire.HoldersReply:
		for _, h := range r.Holders {
			t.count(fmt.Sprint("holders ", h.ID.Try != 0))
		}
	}
	for _, n := range told {
		t.count(fmt.Sprint("notice ", n.Notice.Kind))
	}
}

var words = map[wire.Outcome]string{wire.Done: "done", wire.None: "none", wire.Other: "other", wire.Ended: "over"}

func (t *tally) lacking(full bool) error {
	var short []string
	want := []string{
		"take done", "take other", "take over", "waiting", "reply done", "reply none", "reply other", "reply over",
		"renew done", "renew none", "renew other", "notice 1", "notice 2", "scan 1", "holders true", "holders false", "unfit", "counter at its end",
	}
	if full {
		want = append(want, "refused since it is full")
	}
	for _, w := range want {
		if t.by[w] < 3 {
			short = append(short, w)
		}
	}
	if len(short) > 0 {
		return errors.New("this proves nothing: too few of " + strings.Join(short, ", "))
	}
	return nil
}

func (t *tally) String() string { return fmt.Sprintf("%d steps %v", t.steps, t.by) }
