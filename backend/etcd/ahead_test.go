package etcd

import (
	"testing"
	"time"
)

// TestAhead: which news make a claim the first of its lock, without another look.
func TestAhead(t *testing.T) {
	const ttl = time.Hour
	type deletion struct {
		name     string
		revision int64
		known    bool // it was one of those ahead
	}
	for name, c := range map[string]struct {
		claims []older
		more   bool
		told   []deletion
		age    time.Duration
		want   bool
	}{
		"the only one went":          {claims: []older{{"a", 5}}, told: []deletion{{"a", 8, true}}, want: true},
		"both went":                  {claims: []older{{"b", 6}, {"a", 5}}, told: []deletion{{"a", 8, true}, {"b", 9, true}}, want: true},
		"both, told the other way":   {claims: []older{{"b", 6}, {"a", 5}}, told: []deletion{{"b", 9, true}, {"a", 8, true}}, want: true},
		"nobody went":                {claims: []older{{"a", 5}}},
		"the next gave up":           {claims: []older{{"b", 6}, {"a", 5}}, told: []deletion{{"b", 8, true}}},
		"the holder went":            {claims: []older{{"b", 6}, {"a", 5}}, told: []deletion{{"a", 8, true}}},
		"those that are known, of 3": {claims: []older{{"c", 7}, {"b", 6}}, more: true, told: []deletion{{"b", 8, true}, {"c", 9, true}}},
		"another":                    {claims: []older{{"a", 5}}, told: []deletion{{"b", 8, false}}},
		"an earlier one of its name": {claims: []older{{"a", 5}}, told: []deletion{{"a", 3, false}}},
		"told twice":                 {claims: []older{{"b", 6}, {"a", 5}}, told: []deletion{{"a", 8, true}, {"a", 8, false}}},
		"long ago":                   {claims: []older{{"a", 5}}, told: []deletion{{"a", 8, true}}, age: recent},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			a := ahead{claims: c.claims, more: c.more, looked: now.Add(-c.age)}
			for _, d := range c.told {
				if got := a.told(d.name, d.revision); got != d.known {
					t.Errorf("told(%s, %d) = %v", d.name, d.revision, got)
				}
			}
			if got := a.none(now, ttl); got != c.want {
				t.Errorf("none() = %v, want %v", got, c.want)
			}
			if a.none(now, 12*c.age) {
				t.Errorf("with a TTL of %v a look of %v ago is recent", 12*c.age, c.age)
			}
		})
	}
}
