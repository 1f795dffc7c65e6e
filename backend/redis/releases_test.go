package redis

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// What was released long before the last release, or longer ago than its lease would last, is not released again; nor
// is more than a bound.
func TestReleasesAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := new(releases)
		names := func() (all string) {
			for _, p := range r.doubtful() {
				all += p.attempt + p.ttl
			}
			return all
		}
		add := func(name string, ttl time.Duration) {
			r.add(part{attempt: name, kind: kind{ttl: tombstone}, held: held{token: 7}}, ttl)
		}
		add("a", time.Hour)
		time.Sleep(3 * time.Second)
		add("b", 10*time.Second)
		time.Sleep(4 * time.Second)
		add("c", time.Hour)
		if got := names(); got != "bc" {
			t.Errorf("%q", got)
		}
		time.Sleep(6 * time.Second) // the master is down, say
		if got := names(); got != "c" {
			t.Errorf("%q when the lease of b has ended", got)
		}
		time.Sleep(time.Hour)
		if got := names(); got != "" {
			t.Errorf("%q when all have ended", got)
		}
		for i := range keptReleases + 7 {
			add(fmt.Sprint(i), time.Hour)
		}
		parts := r.doubtful()
		if len(parts) != keptReleases || parts[0].attempt != "7" || parts[keptReleases-1].attempt != fmt.Sprint(keptReleases+6) || parts[0].held.token != 0 {
			t.Errorf("%d are remembered, from %v", len(parts), parts[0])
		}
	})
}

// One server needs none.
func TestNoReleasesAreRemembered(t *testing.T) {
	var r *releases
	r.add(part{}, 0)
	if parts := r.doubtful(); parts != nil {
		t.Errorf("%v", parts)
	}
}
