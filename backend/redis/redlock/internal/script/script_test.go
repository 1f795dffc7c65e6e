package script_test

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/script"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
)

var (
	id    = wire.ID{AttemptID: "o-1", Try: 7}
	lease = wire.Lease{Key: "k: 1", ID: id, TTL: 1500 * time.Microsecond, Token: 1 << 40}
)

const (
	node      = "ns:redlock:node"
	lock      = "ns:redlock:l:k: 1"
	counter   = "ns:redlock:t:83"
	tombstone = "ns:redlock:x:o-1:k: 1"
	is        = "list 1 node boot"
)

// What is sent is part of the format: scripts and clients of different versions share servers.
func TestEncode(t *testing.T) {
	for _, c := range []struct {
		request wire.Request
		keys    int
		args    []any
	}{
		{
			wire.Take{Key: lease.Key, ID: id, TTL: time.Second, Floor: 5, Meta: "m 1", Channel: "c", Queue: true, Position: 9},
			4,
			[]any{node, lock, counter, tombstone, is, "o-1", "7", "1000", "5", "c", "1", "9", "m 1"},
		},
		{
			wire.Take{Key: lease.Key, ID: id, TTL: time.Second, Floor: 5, Tokenless: true},
			4,
			[]any{node, lock, counter, tombstone, is, "o-1", "7", "1000", "-", "-", "0", "0", ""},
		},
		{
			wire.WriteBack{Key: lease.Key, ID: id, Token: 1 << 52},
			3,
			[]any{node, lock, counter, is, "o-1", "7", "4503599627370496"},
		},
		{
			wire.Renew{Leases: []wire.Lease{lease, {Key: "k2", ID: id, TTL: 0, Token: 0}}},
			3,
			[]any{node, lock, "ns:redlock:l:k2", is, "o-1 7 ", "2", "1099511627776", 83, "o-1 7 ", "1", "0", script.Shard("k2")},
		},
		{
			wire.Repair{Lease: lease, Meta: "m", Channel: "c"},
			4,
			[]any{node, lock, counter, tombstone, is, "o-1", "7", "2", "1099511627776", "c", "m"},
		},
		{
			wire.End{Key: lease.Key, ID: wire.ID{AttemptID: "o-1", Try: math.MaxUint64}, KeepOut: time.Minute},
			4,
			[]any{node, lock, counter, tombstone, is, "o-1", "9007199254740992", "60000", "release"},
		},
		{
			wire.End{Key: lease.Key, ID: id, Evict: true},
			4,
			[]any{node, lock, counter, tombstone, is, "o-1", "7", "0", "evict"},
		},
		{
			wire.End{Key: lease.Key, ID: id, Failed: true},
			4,
			[]any{node, lock, counter, tombstone, is, "o-1", "7", "0", "failed"},
		},
		{
			wire.End{Key: lease.Key, ID: id, Failed: true, Queue: true, Position: 3, Channel: "c", TTL: time.Second},
			4,
			[]any{node, lock, counter, tombstone, is, "o-1", "7", "0", "wait", "3", "c", "1000"},
		},
		{
			wire.Look{Key: lease.Key},
			3,
			[]any{node, lock, counter, is},
		},
		{
			wire.Scan{Prefix: `a*[b]?\`, Count: 100},
			1,
			[]any{node, is, "0", `ns:redlock:l:a\*\[b]\?\\*`, 100},
		},
		{
			wire.Scan{From: "77", Count: 1},
			1,
			[]any{node, is, "77", "ns:redlock:l:*", 1},
		},
		{
			wire.Holders{Keys: []string{lease.Key, "k2"}},
			3,
			[]any{node, lock, "ns:redlock:l:k2", is},
		},
	} {
		s, keys, args := script.NewNames("ns").Encode(is, c.request)
		if keys != c.keys || !reflect.DeepEqual(args, c.args) {
			t.Errorf("%T%+v: %d keys of %q, want %d of %q", c.request, c.request, keys, args, c.keys, c.args)
		}
		if !strings.Contains(s.Source(), "UNFIT") {
			t.Errorf("the script of %T does not look at what the node is", c.request)
		}
	}
}

func TestDecode(t *testing.T) {
	const record = "o-1 7 c 12 1000 a name"
	holder := wire.Holder{ID: id, Meta: "a name", Token: 12, Left: 900 * time.Millisecond}
	for _, c := range []struct {
		request wire.Request
		reply   any
		want    any // nil: an error
	}{
		{wire.Take{}, "13", wire.TakeReply{Outcome: wire.Done, Count: 13}},
		{wire.Take{}, int64(4), wire.TakeReply{Outcome: wire.Ended}},
		{
			wire.Take{},
			[]any{record, int64(900), "15", "1700000000000000", int64(1)},
			wire.TakeReply{Outcome: wire.Other, Count: 15, Holder: holder, Position: 1700000000000000, First: true},
		},
		{wire.Take{}, []any{record, int64(900), "15", "0"}, nil},
		{wire.Take{}, []any{"somebody's data", int64(900), "15", "0", int64(0)}, nil},
		{wire.Take{}, "OK", nil},
		{wire.Take{}, nil, nil},
		{wire.WriteBack{}, int64(3), wire.Reply{Outcome: wire.Other}},
		{wire.Repair{}, int64(5), nil},
		{wire.WriteBack{}, int64(257), nil},
		{wire.Renew{Leases: make([]wire.Lease, 2)}, []any{int64(1), int64(2)}, wire.RenewReply{Outcomes: []wire.Outcome{wire.Done, wire.None}}},
		{wire.Renew{Leases: make([]wire.Lease, 2)}, []any{int64(1)}, nil},
		{wire.End{}, int64(0), wire.Reply{Outcome: wire.None}},
		{wire.End{}, int64(3), wire.Reply{Outcome: wire.Done, Woke: true}},
		{wire.End{}, int64(4), nil},
		{wire.Look{}, []any{"", int64(0), "3", int64(2)}, wire.LookReply{Count: 3, Waiters: 2}},
		{wire.Look{}, []any{record, int64(900), "3", int64(0)}, wire.LookReply{Held: true, Holder: holder, Count: 3}},
		{wire.Look{}, []any{record, "900", "3", int64(0)}, nil},
		{wire.Scan{}, []any{"0", is, lock, "ns:redlock:l:\xff"}, wire.ScanReply{Keys: []string{lease.Key}, Boot: is}},
		{wire.Scan{}, []any{"9", is}, wire.ScanReply{Next: "9", Boot: is}},
		{wire.Scan{}, []any{"0", is, counter}, nil},
		{wire.Scan{}, []any{"0"}, nil},
		{wire.Holders{Keys: []string{"a", "b"}}, []any{record, int64(900), "", int64(0)}, wire.HoldersReply{Holders: []wire.Holder{holder, {}}}},
		{wire.Holders{Keys: []string{"a"}}, []any{record, int64(900), "", int64(0)}, nil},
		{wire.Holders{Keys: []string{"a"}}, []any{"somebody's data", int64(900)}, nil},
	} {
		got, err := script.NewNames("ns").Decode(c.request, c.reply)
		if (err == nil) != (c.want != nil) || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%T, %v: %+v, %v; want %+v", c.request, c.reply, got, err, c.want)
		}
	}
}

func TestUnfit(t *testing.T) {
	if actual, ok := script.Unfit(errors.New("UNFIT list 1 node boot2")); !ok || actual != "list 1 node boot2" {
		t.Errorf("%q, %v", actual, ok)
	}
	if actual, ok := script.Unfit(errors.New("UNFIT ")); !ok || actual != "" {
		t.Errorf("%q, %v", actual, ok)
	}
	for _, err := range []error{nil, errors.New("OOM command not allowed")} {
		if _, ok := script.Unfit(err); ok {
			t.Errorf("%v is unfit", err)
		}
	}
}

func TestNotice(t *testing.T) {
	for payload, want := range map[string]wire.Notice{
		"free o-1 1700000000000000": {Kind: wire.Free, AttemptID: "o-1", Count: 1700000000000000},
		"evicted o-1":               {Kind: wire.Evicted, AttemptID: "o-1"},
	} {
		if got, ok := script.Notice(payload); !ok || got != want {
			t.Errorf("%q: %+v, %v", payload, got, ok)
		}
	}
	for _, payload := range []string{"", "free", "free o-1", "free o-1 x", "evicted", "gone o-1"} {
		if got, ok := script.Notice(payload); ok {
			t.Errorf("%q: %+v", payload, got)
		}
	}
}

// No name is of two things, whatever the key.
func TestNames(t *testing.T) {
	n := script.NewNames("ns")
	seen := map[any]string{n.Node(): "node", n.ID(): "id", n.List(): "list", n.Channel("c"): "channel"}
	for i := range script.Shards {
		seen[n.Counter(i)] = "counter"
	}
	for _, key := range []string{"node", "id", "t:1", ":", "", "o:k", "l:k", "k\n", "c:c"} {
		for _, attemptID := range []string{"o", "l", "t"} {
			_, _, args := n.Encode(is, wire.End{Key: key, ID: wire.ID{AttemptID: attemptID}})
			for i, what := range map[int]string{1: "lock of " + key, 3: "tombstone of " + attemptID + " on " + key} {
				if was, ok := seen[args[i]]; ok && was != what {
					t.Errorf("%q is the name of the %s, and of the %s", args[i], was, what)
				}
				seen[args[i]] = what
			}
		}
	}
}
