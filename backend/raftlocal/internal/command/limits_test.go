package command

import (
	"strings"
	"testing"
	"time"
)

func TestLimits(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	acquire := Command{Op: Acquire, Key: "k", AttemptID: "o", TTL: time.Second}
	with := func(c Command, change func(*Command)) Command { change(&c); return c }
	for _, c := range []struct {
		what  string
		cmd   Command
		valid bool
	}{
		{"no operation", Command{}, false},
		{"an unknown operation", Command{Op: EvictClaim + 1}, false},
		{"nop", Command{Op: Nop}, true},
		{"open", Command{Op: Open, ID: id, TTL: time.Minute}, true},
		{"open for the usual time", Command{Op: Open, ID: id}, true},
		{"open for less than no time", Command{Op: Open, ID: id, TTL: -1}, false},
		{"open without a name", Command{Op: Open, TTL: time.Minute}, false},
		{"acquire", acquire, true},
		{"the longest", with(acquire, func(c *Command) { c.Key, c.AttemptID, c.Meta = long(MaxKey), long(MaxAttemptID), long(MaxMeta) }), true},
		{"no key", with(acquire, func(c *Command) { c.Key = "" }), false},
		{"a long key", with(acquire, func(c *Command) { c.Key = long(MaxKey + 1) }), false},
		{"no attempt", with(acquire, func(c *Command) { c.AttemptID = "" }), false},
		{"a long attempt", with(acquire, func(c *Command) { c.AttemptID = long(MaxAttemptID + 1) }), false},
		{"a long meta", with(acquire, func(c *Command) { c.Meta = long(MaxMeta + 1) }), false},
		{"no time", with(acquire, func(c *Command) { c.TTL = 0 }), false},
		{"release by attempt", Command{Op: Release, Key: "k", AttemptID: "o"}, true},
		{"release by number", Command{Op: Release, Claims: []uint64{1}}, true},
		{"release of two", Command{Op: Release, Claims: []uint64{1, 2}}, false},
		{"release of nothing", Command{Op: Release}, false},
		{"the largest renewal", Command{Op: Renew, Claims: make([]uint64, MaxClaims)}, true},
		{"one larger", Command{Op: Renew, Claims: make([]uint64, MaxClaims+1)}, false},
		{"evict", Command{Op: Evict, Key: "k"}, true},
		{"evict nothing", Command{Op: Evict}, false},
		{"evict one attempt", Command{Op: EvictClaim, Key: "k", AttemptID: "o"}, true},
		{"evict nobody", Command{Op: EvictClaim, Key: "k"}, false},
		{"list", Command{Op: ListHeld, Claims: []uint64{0, 1}}, true},
		{"list below a long prefix", Command{Op: ListHeld, Key: long(MaxKey + 1), Claims: []uint64{0, 1}}, false},
		{"list none", Command{Op: ListHeld, Claims: []uint64{0, 0}}, false},
		{"list without a cursor", Command{Op: ListHeld}, false},
	} {
		if got := c.cmd.Valid(); got != c.valid {
			t.Errorf("%s: %v", c.what, got)
		}
	}
}
