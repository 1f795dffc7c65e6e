package script

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
)

// maxNumber is a number beyond which Lua does not count one by one. No counter gets there, and a
// number of a try that is greater is cut to it: it ends all tries.
const maxNumber = 1 << 53

// Encode makes of a request the script that carries it out, and what it is called with: its keys, as
// many as keys says, and its arguments. expected is what the node's string must be.
func (n *Names) Encode(expected string, r wire.Request) (s *node.Script, keys int, args []any) {
	switch r := r.(type) {
	case wire.Take:
		floor := "-"
		if !r.Tokenless {
			floor = number(r.Floor)
		}
		return take, 4, []any{
			n.node, n.lock(r.Key), n.counters[Shard(r.Key)], n.tombstone(r.ID.AttemptID, r.Key),
			expected, r.ID.AttemptID, number(r.ID.Try), ms(r.TTL), floor, channel(r.Channel), flag(r.Queue), number(r.Position), r.Meta,
		}
	case wire.WriteBack:
		return writeBack, 3, []any{
			n.node, n.lock(r.Key), n.counters[Shard(r.Key)],
			expected, r.ID.AttemptID, number(r.ID.Try), number(r.Token),
		}
	case wire.Renew:
		args = make([]any, 0, 2+5*len(r.Leases))
		args = append(args, n.node)
		for _, l := range r.Leases {
			args = append(args, n.lock(l.Key))
		}
		args = append(args, expected)
		for _, l := range r.Leases {
			args = append(args, l.ID.AttemptID+" "+number(l.ID.Try)+" ", ms(l.TTL), number(l.Token), Shard(l.Key))
		}
		return renew, 1 + len(r.Leases), args
	case wire.Repair:
		return repair, 4, []any{
			n.node, n.lock(r.Key), n.counters[Shard(r.Key)], n.tombstone(r.ID.AttemptID, r.Key),
			expected, r.ID.AttemptID, number(r.ID.Try), ms(r.TTL), number(r.Token), channel(r.Channel), r.Meta,
		}
	case wire.End:
		keepOut := "0"
		if r.KeepOut > 0 {
			keepOut = ms(r.KeepOut)
		}
		args = append(make([]any, 0, 12), n.node, n.lock(r.Key), n.counters[Shard(r.Key)], n.tombstone(r.ID.AttemptID, r.Key),
			expected, r.ID.AttemptID, number(r.ID.Try), keepOut)
		switch {
		case r.Failed && r.Queue:
			args = append(args, "wait", number(r.Position), channel(r.Channel), ms(r.TTL))
		case r.Failed:
			args = append(args, "failed")
		case r.Evict:
			args = append(args, "evict")
		default:
			args = append(args, "release")
		}
		return end, 4, args
	case wire.Look:
		return look, 3, []any{n.node, n.lock(r.Key), n.counters[Shard(r.Key)], expected}
	case wire.Scan:
		from := r.From
		if from == "" {
			from = "0"
		}
		return scan, 1, []any{n.node, expected, from, literal(n.lock(r.Prefix)) + "*", r.Count}
	case wire.Holders:
		args = append(make([]any, 0, 2+len(r.Keys)), n.node)
		for _, key := range r.Keys {
			args = append(args, n.lock(key))
		}
		return holders, 1 + len(r.Keys), append(args, expected)
	}
	panic(fmt.Sprintf("redlock: there is no script for a %T", r))
}

// literal is a pattern that matches only name.
func literal(name string) string { return patternEscaper.Replace(name) }

var patternEscaper = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

func number(u uint64) string { return strconv.FormatUint(min(u, maxNumber), 10) }

// ms is a time in whole milliseconds: rounded up, so that nothing ends before its time, and at least one.
func ms(d time.Duration) string {
	return strconv.FormatInt(Milliseconds(d), 10)
}

// Milliseconds is a time as the node counts it.
func Milliseconds(d time.Duration) int64 {
	return max(1, int64((d+time.Millisecond-1)/time.Millisecond))
}

// channel is one word of a record.
func channel(name string) string {
	if name == "" {
		return "-"
	}
	return name
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
