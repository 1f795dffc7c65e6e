package session

import (
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver/attempts"
)

// Every TTL up to the longest has a session TTL that the server grants, no shorter than the
// TTL, no longer than an eighth more; and there are few.
func TestSessionTTLsFit(t *testing.T) {
	for timeout := 2 * time.Second; timeout < 3*time.Hour; timeout += 777 * time.Millisecond {
		if longest := longestTTL(timeout); attempts.SessionTTL(longest) != longest || longest+relayLag > timeout {
			t.Fatalf("longestTTL(%v) = %v, whose session TTL is %v", timeout, longest, attempts.SessionTTL(longest))
		}
	}
	all := make(map[time.Duration]bool)
	for ttl := MinTTL; ttl <= MaxTTL; ttl += 333 * time.Millisecond {
		c := attempts.SessionTTL(ttl)
		if c < ttl || c > ttl+max(time.Second, ttl/8) || attempts.SessionTTL(c) != c {
			t.Fatalf("SessionTTL(%v) = %v", ttl, c)
		}
		all[c] = true
	}
	if len(all) > 15+8*13 {
		t.Errorf("there are %d session TTLs", len(all))
	}
	if got := longestTTL(1000 * time.Hour); got > MaxTTL || got < MaxTTL*7/8 {
		t.Errorf("the longest TTL is %v", got)
	}
}
