package script

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
)

// Decode makes of what a script has returned the reply to the request.
func (n *Names) Decode(r wire.Request, reply any) (any, error) {
	var decoded any
	var ok bool
	switch r := r.(type) {
	case wire.Take:
		decoded, ok = taken(reply)
	case wire.WriteBack, wire.Repair:
		decoded, ok = outcome(reply)
	case wire.Renew:
		decoded, ok = renewed(reply, len(r.Leases))
	case wire.End:
		decoded, ok = ended(reply)
	case wire.Look:
		decoded, ok = looked(reply)
	case wire.Scan:
		decoded, ok = scanned(reply, n.lock(""))
	case wire.Holders:
		decoded, ok = held(reply, len(r.Keys))
	}
	if !ok {
		return nil, fmt.Errorf("redlock: unexpected reply %v to a %T", reply, r)
	}
	return decoded, nil
}

func taken(reply any) (t wire.TakeReply, ok bool) {
	switch reply := reply.(type) {
	case string:
		t.Outcome = wire.Done
		t.Count, ok = parse(reply)
		return t, ok
	case int64:
		t.Outcome = wire.Ended
		return t, reply == int64(wire.Ended)
	case []any:
		if len(reply) != 5 {
			return t, false
		}
		t.Outcome = wire.Other
		var okCount, okPosition bool
		t.Holder, ok = holder(reply[0], reply[1])
		t.Count, okCount = parse(reply[2])
		t.Position, okPosition = parse(reply[3])
		t.First = reply[4] == int64(1)
		return t, ok && okCount && okPosition
	}
	return t, false
}

func outcome(reply any) (r wire.Reply, ok bool) {
	n, ok := reply.(int64)
	r.Outcome = wire.Outcome(n) //nolint:gosec // looked at in the next line
	return r, ok && n >= int64(wire.Done) && n <= int64(wire.Ended)
}

func renewed(reply any, leases int) (r wire.RenewReply, ok bool) {
	list, ok := reply.([]any)
	if !ok || len(list) != leases {
		return r, false
	}
	r.Outcomes = make([]wire.Outcome, len(list))
	for i := range list {
		o, ok := outcome(list[i])
		if !ok {
			return r, false
		}
		r.Outcomes[i] = o.Outcome
	}
	return r, true
}

func ended(reply any) (r wire.Reply, ok bool) {
	n, ok := reply.(int64)
	r.Outcome = wire.None
	if n&1 != 0 {
		r.Outcome = wire.Done
	}
	r.Woke = n&2 != 0
	return r, ok && n >= 0 && n <= 3
}

func looked(reply any) (r wire.LookReply, ok bool) {
	list, ok := reply.([]any)
	if !ok || len(list) != 4 {
		return r, false
	}
	waiters, okWaiters := list[3].(int64)
	count, okCount := parse(list[2])
	r.Count, r.Waiters = count, int(waiters)
	if list[0] == "" {
		return r, okWaiters && okCount
	}
	r.Held = true
	r.Holder, ok = holder(list[0], list[1])
	return r, ok && okWaiters && okCount
}

// scanned parses a part of the names of locks, which all begin with prefix.
func scanned(reply any, prefix string) (r wire.ScanReply, ok bool) {
	list, ok := reply.([]any)
	if !ok || len(list) < 2 {
		return r, false
	}
	var okNext, okBoot bool
	r.Next, okNext = list[0].(string)
	r.Boot, okBoot = list[1].(string)
	if !okNext || !okBoot {
		return r, false
	}
	if r.Next == "0" {
		r.Next = ""
	}
	for _, name := range list[2:] {
		text, _ := name.(string)
		key, ok := strings.CutPrefix(text, prefix)
		if !ok {
			return r, false
		}
		if key != "" && utf8.ValidString(key) { // others are nobody's locks
			r.Keys = append(r.Keys, key)
		}
	}
	return r, true
}

func held(reply any, keys int) (r wire.HoldersReply, ok bool) {
	list, ok := reply.([]any)
	if !ok || len(list) != 2*keys {
		return r, false
	}
	r.Holders = make([]wire.Holder, keys)
	for i := range r.Holders {
		if list[2*i] == "" {
			continue
		}
		if r.Holders[i], ok = holder(list[2*i], list[2*i+1]); !ok {
			return r, false
		}
	}
	return r, true
}

// holder parses the record of a key: "attempt try channel token ttl meta".
func holder(record, left any) (h wire.Holder, ok bool) {
	text, ok := record.(string)
	words := strings.SplitN(text, " ", 6)
	ms, isNumber := left.(int64)
	if !ok || !isNumber || len(words) != 6 {
		return h, false
	}
	h.ID.AttemptID, h.Meta, h.Left = words[0], words[5], time.Duration(ms)*time.Millisecond
	var okTry, okToken bool
	h.ID.Try, okTry = parse(words[1])
	h.Token, okToken = parse(words[3])
	return h, okTry && okToken
}

func parse(v any) (uint64, bool) {
	text, _ := v.(string)
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil
}

// unfit begins the error of a script that has met another node than its client expects.
const unfit = "UNFIT "

// Unfit reports whether a script has done nothing, since the node is not what was expected, and
// what it is: empty if it does not say so itself.
func Unfit(err error) (actual string, ok bool) {
	if err == nil {
		return "", false
	}
	return strings.CutPrefix(err.Error(), unfit)
}

// Notice parses what a node has published on a client's channel.
func Notice(payload string) (n wire.Notice, ok bool) {
	kind, rest, _ := strings.Cut(payload, " ")
	attemptID, count, _ := strings.Cut(rest, " ")
	n.AttemptID = attemptID
	switch kind {
	case "free":
		n.Kind = wire.Free
		n.Count, ok = parse(count)
		return n, ok && attemptID != ""
	case "evicted":
		n.Kind = wire.Evicted
		return n, attemptID != ""
	}
	return n, false
}
