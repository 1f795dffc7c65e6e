package attempts

import (
	"testing"
	"time"
)

func TestSessionTTL(t *testing.T) {
	for ttl, want := range map[time.Duration]time.Duration{
		time.Second:             time.Second,
		time.Second + 1:         2 * time.Second,
		15 * time.Second:        15 * time.Second,
		16 * time.Second:        16 * time.Second,
		16*time.Second + 1:      18 * time.Second,
		31 * time.Second:        32 * time.Second,
		33 * time.Second:        36 * time.Second,
		time.Minute:             60 * time.Second,
		time.Hour:               3840 * time.Second,
		1500 * time.Millisecond: 2 * time.Second,
	} {
		if got := SessionTTL(ttl); got != want {
			t.Errorf("SessionTTL(%v) = %v, want %v", ttl, got, want)
		}
	}
}

func TestSessionTTLSteps(t *testing.T) {
	ttls := make(map[time.Duration]bool)
	for ttl := time.Second; ttl <= 24*time.Hour; ttl += 500 * time.Millisecond {
		sessionTTL := SessionTTL(ttl)
		ttls[sessionTTL] = true
		if sessionTTL < ttl || sessionTTL > ttl+max(time.Second, ttl/8+time.Second) || sessionTTL%time.Second != 0 {
			t.Fatalf("SessionTTL(%v) is %v", ttl, sessionTTL)
		}
		if again := SessionTTL(sessionTTL); again != sessionTTL {
			t.Fatalf("SessionTTL(%v) is %v, and that of this %v", ttl, sessionTTL, again)
		}
	}
	if n := len(ttls); n > 120 {
		t.Errorf("%d TTLs of sessions from 1 s to 24 h, want 120 at most", n)
	}
	for _, usual := range []int{1, 2, 5, 10, 15, 30, 60, 120} {
		if ttl := time.Duration(usual) * time.Second; SessionTTL(ttl) != ttl {
			t.Errorf("SessionTTL(%v) is %v", ttl, SessionTTL(ttl))
		}
	}
}
